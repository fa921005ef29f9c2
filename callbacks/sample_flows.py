"""Shows what the agents say."""

from __future__ import annotations

from collections.abc import Sequence

from callbacks.batch_values import BatchValues
from callbacks.pace import Pace
from callbacks.play_callback import PlayCallback
from callbacks.watched_modules import PlayedModule
from flowdpo_pl.errors import COUNT, require_within
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.types import RolloutTree


class SampleFlows(PlayCallback):
    """Prints a table of sample flows and keeps it as `samples/problems_000160.md` in the run folder.

    A sample is a main chain: the question, each chunk with the choice that followed it, and the final
    answer beside the gold one.

    Args:
        n: Number of flows, the first ones of the batch.
        every_n_problems: Problems between two tables.
    """

    files = ("samples",)

    def __init__(self, n: int = 4, every_n_problems: int = 160) -> None:
        require_within(COUNT, {"n": n})
        self.n = n
        self._pace = Pace(every_n_problems)

    def play_started(self, module: PlayedModule, seen: int) -> None:
        self._pace.start(seen)

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        if not self._pace.due(module.problems_seen):
            return
        samples = module.trees[: self.n]
        print_samples(samples, module.problems_seen)
        with whole_file(self.folder / "samples" / f"problems_{module.problems_seen:06d}.md") as partial:
            partial.write_text(samples_as_markdown(samples, module.problems_seen), encoding="utf-8")


def print_samples(trees: Sequence[RolloutTree], problems_seen: int) -> None:
    """Prints the main chains as a table, above a progress bar if there is one."""
    import rich
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "question", "flow", "answer", "gold", title=f"Sample flows after {problems_seen:,} problems"
    )
    for tree in trees:
        flow = Text()
        for move in tree.main.moves:
            flow.append(
                move.text if move.option is None else f" [{move.text}] ",
                "" if move.option is None else "cyan",
            )
        answer = Text(_answer(tree), "green" if tree.main.correct else "red")
        # Text, not markup: a question may hold [brackets].
        table.add_row(Text(tree.problem.question), flow, answer, Text(tree.problem.gold), end_section=True)
    rich.get_console().print(table)


def samples_as_markdown(trees: Sequence[RolloutTree], problems_seen: int) -> str:
    """The main chains as a page of Markdown."""
    parts = [f"# Sample flows after {problems_seen:,} problems"]
    for tree in trees:
        parts += [f"## Problem {tree.problem.id}", _fenced(tree.problem.question)]
        for move in tree.main.moves:
            parts.append(_fenced(move.text) if move.option is None else f"{move.agent}: **{move.text}**")
        parts.append(f"Answer: `{_answer(tree)}`, gold: `{tree.problem.gold}`")
    return "\n\n".join(parts) + "\n"


def _answer(tree: RolloutTree) -> str:
    verdict = tree.main.verdict
    found = verdict.error if verdict.extracted is None else verdict.extracted
    return f"{found or 'none'} ({'right' if tree.main.correct else 'wrong'})"


def _fenced(text: str) -> str:
    return f"~~~~text\n{text}\n~~~~"
