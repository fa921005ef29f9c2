"""One contender of `benchmarks.rollouts`: the same trees by vLLM, run by an interpreter that has it."""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import Future
from pathlib import Path
from statistics import median

from transformers import AutoConfig, AutoTokenizer

from benchmarks.contenders.vllm_engine import VllmEngine
from flowdpo_pl.draws import Draws
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import Problem, Verdict


class NoJudge:
    """Verdicts cost vLLM nothing here."""

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        future.set_result(Verdict(False))
        return future


def main() -> None:
    """Print medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", required=True, help="JSON: model, flow, prompts, problems")
    parser.add_argument("--adapters", help="folder with an adapter per agent; without it no LoRA")
    parser.add_argument("--rounds", type=int, default=3, help="medians are over this many")
    options = parser.parse_args()
    setting = json.loads(Path(options.setting).read_text())
    prompts = {
        agent: AgentPrompt(**{**prompt, "options": tuple(prompt["options"])})
        for agent, prompt in setting["prompts"].items()
    }
    end_ids = [AutoConfig.from_pretrained(setting["model"]).eos_token_id]
    flow = AnswerStopFlow(**setting["flow"])
    book = PromptBook(flow, prompts, AutoTokenizer.from_pretrained(setting["model"]), end_ids)
    engine = VllmEngine(
        setting["model"], Path(options.adapters) if options.adapters else None, book.agents, book.end_ids
    )
    rollouts = Rollouts(book, engine, NoJudge(), Draws(0))
    problems = [Problem(**problem) for problem in setting["problems"]]
    measured = []
    for number in range(options.rounds + 1):
        before, started = engine.generated_tokens, time.perf_counter()
        # other ids and questions each round, or the prefix cache would hold the prompts already
        fresh = [Problem(f"{number}-{p.id}", f"{number}. {p.question}", p.gold) for p in problems]
        play = rollouts.play(fresh, NodeAlternatives())
        seconds, tokens = time.perf_counter() - started, engine.generated_tokens - before
        measured.append(
            {
                "seconds": seconds,
                "generated_tokens": tokens,
                "generated_tokens_per_second": tokens / seconds,
                "trees_per_second": len(play.trees) / seconds,
                "alternatives": sum(len(tree.forks) for tree in play.trees),
            }
        )
    print(json.dumps({key: median(one[key] for one in measured[1:]) for key in measured[0]}))


if __name__ == "__main__":
    main()
