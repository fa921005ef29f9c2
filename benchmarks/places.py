"""What it costs where an agent's words stand in a prompt: behind the question, or in front of it.

    python -m benchmarks.places

Plays the flow of configs/flows/critic.yaml with all its alternatives, in both ways. A JSON line for each way
and length of the question (told so many times over), with what a problem costs: tokens read, tokens written,
and seconds. The model knows the first way alone, so in the second it writes somewhat otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import auto_cli

from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.agent_prompt import AgentPrompt
from flowdpo_pl.play.engines.native import NativeEngine
from flowdpo_pl.play.engines.prefix_cache import Ids
from flowdpo_pl.play.engines.reader import Reader, Request, Row
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.flows.critic import CriticFlow
from flowdpo_pl.play.team import Budget, Team
from flowdpo_pl.types import Problem

QUICKSTART = Path(__file__).parents[1] / "quickstart"
WORDS = ("Keep", "Revise")
PROMPTS = {
    "behind": {
        "solver": AgentPrompt("{question} Tried: {solver} Note: {critic}"),
        "critic": AgentPrompt("{question} Draft: {partial} Keep or Revise?", options=WORDS),
    },
    "in_front": {
        "solver": AgentPrompt("Tried: {solver} Note: {critic} {question}"),
        "critic": AgentPrompt("Draft: {partial} {question} Keep or Revise?", options=WORDS),
    },
}
"""By where what was said stands."""


class CountingReader(Reader):
    """Counts the tokens that are not remembered."""

    unread = 0

    def rows(self, requests: Sequence[Request], read: Sequence[Ids]) -> list[Row]:
        found = super().rows(requests, read)
        self.unread += sum(row.unread for row in found)
        return found


def places(problems: int = 128, questions: Sequence[int] = (1, 4, 12), rounds: int = 3) -> None:
    """Print what a problem costs.

    Args:
        problems: played together.
        questions: how many times over a question is told.
        rounds: seconds are the least of so many.
    """
    with (QUICKSTART / "problems" / "train.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(problems), lines, strict=False)]
    asked = [Problem(row["id"], row["question"], row["answer"]) for row in rows]
    for times in questions:
        longer = [replace(problem, question=" ".join([problem.question] * times)) for problem in asked]
        for place in PROMPTS:
            print(json.dumps({"question_told": times, "place": place, **played(place, longer, rounds)}))


def played(place: str, problems: Sequence[Problem], rounds: int) -> dict[str, float]:
    """What each of the problems costs."""
    base = BaseModel(str(QUICKSTART / "dialogue_model"), dtype="float32")
    team = Team(base, PROMPTS[place], CriticFlow(72, 8, 2), budget=Budget(cpu_threads=1))
    module = FlowDPOModule(team, verifier="flowdpo_pl.exact")
    engine = module.rollouts.engine
    assert isinstance(engine, NativeEngine)
    reader = engine._reader = CountingReader(engine.agents)
    plays = [module.rollouts.play(problems, NodeAlternatives()) for _ in range(rounds)]
    return {
        "read": round(reader.unread / rounds / len(problems), 1),
        "written": round(plays[0].generated_tokens / len(problems), 1),
        "seconds": round(min(play.seconds for play in plays) / len(problems), 4),
    }


if __name__ == "__main__":
    auto_cli(places)
