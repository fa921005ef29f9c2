"""Shows what the agents say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.watching.batch_values import BatchValues
from callbacks.watching.pace import Pace
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.tables import log_table
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.errors import COUNT, require_within
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.types import Move, RolloutTree, Verdict
from flowdpo_pl.visible import visible, visible_line

COLUMNS = ("problem", "question", "node", "agent", "move", "answer", "gold", "verdict")
"""Of the table that loggers show."""


class SampleFlows(PlayCallback):
    """Prints a table of sample flows and keeps it as `samples/problems_000160.md` in the run folder.

    Loggers that show tables (TensorBoard, W&B) get it as `samples`, a row a move. A sample is a main chain:
    the question, who wrote each chunk and what was chosen after it, and the final answer beside the gold one.

    Args:
        n: Number of flows, the first ones of the batch.
        every_n_problems: Problems between two tables.
    """

    files = ("samples",)

    def __init__(self, n: int = 4, every_n_problems: int = 160) -> None:
        require_within(COUNT, {"n": n})
        self.n = n
        self._pace = Pace(every_n_problems)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._loggers = trainer.loggers

    def play_started(self, module: PlayedModule, seen: int) -> None:
        self._pace.start(seen)

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        if not self._pace.due(module.problems_seen):
            return
        samples = module.trees[: self.n]
        print_samples(samples, module.problems_seen)
        with whole_file(self.folder / "samples" / f"problems_{module.problems_seen:06d}.md") as partial:
            partial.write_text(samples_as_markdown(samples, module.problems_seen), encoding="utf-8")
        log_table(self._loggers, "samples", COLUMNS, samples_as_rows(samples), module.problems_seen)


def print_samples(trees: Sequence[RolloutTree], problems_seen: int) -> None:
    """Prints the main chains as a table, above a progress bar if there is one."""
    import rich
    from rich.table import Table
    from rich.text import Text

    table = Table("who", "what", "then", title=f"Sample flows after {problems_seen:,} problems")
    for tree in trees:
        # Text, not markup: a question may hold [brackets]; made visible: or steer the terminal.
        table.add_row("problem", Text(visible(tree.problem.question), "bold"), "")
        for who, said, chosen in _turns(tree.main.moves):
            table.add_row(Text(visible_line(who)), Text(visible(said)), Text(visible_line(chosen), "cyan"))
        verdict = _told(tree.main.verdict)
        answer = Text(visible_line(f"{_answer(tree)}, gold {tree.problem.gold}"))
        style = "green" if tree.main.correct else "red"
        table.add_row(Text("judged", style), answer, Text(verdict, style), end_section=True)
    rich.get_console().print(table)


def samples_as_rows(trees: Sequence[RolloutTree]) -> list[list[Any]]:
    """A row a move of the main chains, each whole by itself."""
    return [
        [
            *(tree.problem.id, tree.problem.question, node, move.agent, move.text),
            *(_answer(tree), tree.problem.gold, _told(tree.main.verdict)),
        ]
        for tree in trees
        for node, move in enumerate(tree.main.moves)
    ]


def samples_as_markdown(trees: Sequence[RolloutTree], problems_seen: int) -> str:
    """The main chains as a page of Markdown."""
    parts = [f"# Sample flows after {problems_seen:,} problems"]
    for tree in trees:
        parts += [f"## Problem {_code(tree.problem.id)}", _fenced(tree.problem.question)]
        for move in tree.main.moves:
            if move.option is None:
                parts += [f"**{move.agent}** writes:", _fenced(move.text)]
            else:
                parts.append(f"**{move.agent}** chooses {_code(move.text)}")
        verdict = _told(tree.main.verdict)
        parts.append(f"Answer: {_code(_answer(tree))} ({verdict}), gold: {_code(tree.problem.gold)}")
    return "\n\n".join(parts) + "\n"


def _turns(moves: Sequence[Move]) -> list[tuple[str, str, str]]:
    """Who wrote what, and what was chosen then, by whom: `stop: No`."""
    turns: list[tuple[str, str, str]] = []
    for move in moves:
        if move.option is None:
            turns.append((move.agent, move.text, ""))
            continue
        who, said, before = turns.pop() if turns else ("", "", "")
        choice = f"{move.agent}: {move.text}"
        turns.append((who, said, f"{before}, {choice}" if before else choice))
    return turns


def _told(verdict: Verdict) -> str:
    if 0 < verdict.score < 1:
        return f"score {verdict.score:.2f}"
    return "right" if verdict.correct else "wrong"


def _answer(tree: RolloutTree) -> str:
    verdict = tree.main.verdict
    return (verdict.error if verdict.extracted is None else verdict.extracted) or "none"


def _fenced(text: str) -> str:
    """A block of code; the fence is longer than any row of tildes in the text."""
    fence = "~" * max(4, 1 + _longest("~", text))
    return f"{fence}text\n{visible(text)}\n{fence}"


def _code(text: str) -> str:
    """Text in a line, as code."""
    shown = visible_line(text)
    ticks = "`" * (1 + _longest("`", shown))
    space = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{ticks}{space}{shown}{space}{ticks}"


def _longest(mark: str, text: str) -> int:
    """Length of the longest row of this mark in the text."""
    return max(map(len, re.findall(f"{re.escape(mark)}+", text)), default=0)
