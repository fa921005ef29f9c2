"""`show`: one problem of a run in the terminal, its tree or its answers."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.results.kept_play import kept_play
from flowdpo_pl.results.predictions import Prediction, by_problem
from flowdpo_pl.results.run_trees import RunTree, RunTrees
from flowdpo_pl.results.tested import Tested
from flowdpo_pl.verbs.tree_screen import print_answers, print_tree


def show(run: Path, problem: str) -> None:
    """Print one problem of a run: every node of its tree, or the answers of a `test` to it.

    Args:
        run: folder of a run that kept its trees (callbacks.TreeLog), or of a `test`; or one such file.
        problem: its number in the run, as on the page of `view`; or its id, of which the beginning will do.
    """
    kept = kept_play(run)
    if isinstance(kept, RunTrees):
        one = _tree(kept, problem, run)
        print_tree(one.tree, kept.margin, _heading(run, one.number, kept.count))
    else:
        number, samples, of = _samples(kept, problem, run)
        print_answers(samples, _heading(run, number, of))


def _heading(run: Path, number: int, of: int) -> str:
    return f"{run}, problem {number:,} of {of:,}"


def _tree(kept: RunTrees, wanted: str, run: Path) -> RunTree:
    number = _number(wanted, kept.count)
    if number is not None:
        return next(kept.read({number}))
    found = [one for one in kept.read(_All()) if one.tree.problem.id.startswith(wanted)]
    exact = [one for one in found if one.tree.problem.id == wanted] or found
    if len({one.tree.problem.id for one in exact}) == 1:
        return exact[-1]  # of several passes the latest
    raise _none(wanted, run, kept.count, [one.tree.problem.id for one in exact])


def _samples(test: Tested, wanted: str, run: Path) -> tuple[int, list[Prediction], int]:
    problems = list(by_problem(test.predictions).items())
    number = _number(wanted, len(problems))
    if number is None:
        found = [place for place, (name, _) in enumerate(problems, 1) if name.startswith(wanted)]
        exact = [place for place in found if problems[place - 1][0] == wanted] or found
        if len(exact) != 1:
            raise _none(wanted, run, len(problems), [problems[place - 1][0] for place in exact])
        number = exact[0]
    return number, problems[number - 1][1], len(problems)


def _number(wanted: str, count: int) -> int | None:
    """A place in the run, if the word is one: `29`, `#29`."""
    digits = wanted.removeprefix("#")
    known = digits.isascii() and digits.isdigit() and 1 <= int(digits) <= count
    return int(digits) if known else None


class _All(Container[int]):
    def __contains__(self, number: object) -> bool:
        return True


def _none(wanted: str, run: Path, count: int, ids: list[str]) -> UserError:
    if ids:
        return UserError(
            f"'{wanted}' begins the ids of several problems of {run}: {some_of(ids, 3)}; give more."
        )
    there = f"give a number from 1 to {count:,}, or an id" if count else "it has none yet"
    return UserError(f"{run} has no problem '{wanted}': {there}.")
