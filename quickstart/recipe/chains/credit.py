"""Where the pairs of a run come from, and whether they blame the move that went wrong.

    python -m quickstart.recipe.chains.credit --help

Two moves of Answer are a pair because one of their endings was right and the other was not. Whether the
preferred ending is true, and whether the other one's first mistake stands in the move that is turned against,
only the recipe knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jsonargparse import auto_cli

from flowdpo_pl.play.flows.answer_stop import ANSWER
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.types import Fork, RolloutTree
from quickstart.recipe.chains.grade import grade
from quickstart.recipe.chains.regrade import percent, read_rows, write_table

PLACES = ("in", "before", "after", "nowhere")


@dataclass(frozen=True, slots=True)
class Credit:
    """Of one pair of Answer's moves."""

    careless: bool
    """The ending that was preferred is right, and not true."""
    mistake: str
    """Where the other one's first mistake stands: `before` the move, `in` it, `after` it, or `nowhere`."""
    first_half: bool
    """The move begins in the first half of a right solution."""
    branch: bool
    """The ending that was preferred is that of the alternative, not the main chain's."""


def credit(runs: dict[str, Path], problems: Path, out: Path) -> None:
    """Write a row a run.

    Args:
        runs: folders of runs of `fit` that kept their trees, by name.
        problems: what they learnt from, as `quickstart.recipe.chains.problems` wrote it.
        out: the CSV file to write.
    """
    solutions = {row["question"]: row["solution"] for row in read_rows(problems)}
    rows = [_row(name, _read(folder, solutions)) for name, folder in runs.items()]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_table(out, rows)


def credits(tree: RolloutTree, solution: str) -> Iterator[Credit]:
    """Of every pair of the tree that has a move of Answer's main chain."""
    for fork in tree.forks:
        if fork.is_pair() and fork.taken.agent == ANSWER:
            yield _credit(tree, fork, solution)


def _credit(tree: RolloutTree, fork: Fork, solution: str) -> Credit:
    main, branch = (tree.main.answer, fork.taken), (fork.branch.answer, fork.other)
    (won, _), (lost, move) = (main, branch) if fork.better is fork.taken else (branch, main)
    before = sum(len(one.text.split()) for one in tree.main.moves[: fork.node] if one.agent == ANSWER)
    said, right = lost.split(), solution.split()
    same = next((n for n, pair in enumerate(zip(said, right, strict=False)) if pair[0] != pair[1]), None)
    first = min(len(said), len(right)) if same is None else same
    behind = before + len(move.text.split())
    if first == len(right):
        mistake = "nowhere"
    else:
        mistake = "before" if first < before else "in" if first < behind else "after"
    return Credit(
        not grade(won, solution).true, mistake, before < len(right) / 2, branch=fork.better is not fork.taken
    )


def _read(folder: Path, solutions: dict[str, str]) -> list[list[Credit]]:
    """The pairs of each tree that has any."""
    kept = RunTrees.at(folder)
    trees = kept.read() if kept is not None else ()
    found = (list(credits(one.tree, solutions[one.tree.problem.question])) for one in trees)
    return [pairs for pairs in found if pairs]


def _row(name: str, trees: list[list[Credit]]) -> dict[str, object]:
    found = [one for pairs in trees for one in pairs]
    shares = [sum(one.careless for one in pairs) / len(pairs) for pairs in trees]
    return {
        "run": name,
        "pairs of Answer": len(found),
        "in the first half, %": percent(one.first_half for one in found),
        "careless ending preferred, %": percent(one.careless for one in found),
        "mean of trees, %": f"{100 * sum(shares) / len(shares):.1f}" if shares else "",
        "of alternatives preferred, %": percent(one.careless for one in found if one.branch),
        "of main chains preferred, %": percent(one.careless for one in found if not one.branch),
        **{f"mistake {place}, %": percent(one.mistake == place for one in found) for place in PLACES},
    }


if __name__ == "__main__":
    auto_cli(credit, as_positional=False)
