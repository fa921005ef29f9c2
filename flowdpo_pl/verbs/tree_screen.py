"""A rollout tree, or the answers to a problem, in the terminal: what the page of `view` has, as lines.

What models and data say is shown with control characters as escapes, as in `FlowScreen`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowdpo_pl.results.predictions import Prediction, told, vote
from flowdpo_pl.types import Fork, Move, Problem, RolloutTree, Tie, Verdict
from flowdpo_pl.verbs.flow_screen import colours, words_of
from flowdpo_pl.visible import visible, visible_line

_TIES = {
    Tie.BOTH_RIGHT: "= tie, both right",
    Tie.BOTH_WRONG: "= tie, both wrong",
    Tie.REPEATED: "= the same move again",
}
_CHOSEN, _REJECTED, _NONE = "▲ chosen", "▽ rejected", "∅ no alternative"
_INDENT = 4


def print_tree(tree: RolloutTree, margin: float, heading: str) -> None:
    """Print every node: the main move, and each other move with where it ended and what it taught.

    Args:
        tree: the tree.
        margin: endings whose scores differ by no more are ties.
        heading: the line above it.
    """
    pairs = sum(fork.is_pair(margin) for fork in tree.forks)
    _print_problem(tree.problem, heading)
    counts = f"{_count(len(tree.forks), 'fork')}, {_count(pairs, 'pair')}"
    _print("", f"{counts}; main chain {_ending(tree.main.verdict)}", "bold")
    moves = [move for path in (tree.main, *(fork.branch for fork in tree.forks)) for move in path.moves]
    colour_of = colours(list(dict.fromkeys(move.agent for move in moves)))
    for node, move in enumerate(tree.main.moves):
        print()
        forks = [fork for fork in tree.forks if fork.node == node]
        _print_move(f"{node:>{_INDENT - 1}}", move, colour_of[move.agent], _lessons(forks, margin))
        for fork in forks:
            _print_fork(fork, margin, colour_of)
        if node in tree.nodes_without_alternative:
            _print(" " * _INDENT, _NONE, "dim")


def print_answers(samples: Sequence[Prediction], heading: str) -> None:
    """Print the answers of a `test` to one problem, and what they answer together."""
    first, voted = samples[0], vote(samples)
    _print_problem(Problem(first.problem_id, first.question, first.gold), heading)
    for sample in samples:
        print()
        if len(samples) > 1:
            _print("", f"answer {sample.sample + 1} of {len(samples)}", "dim")
        _print("", sample.text)
        verdict = Verdict(sample.correct, sample.extracted, sample.error, sample.score)
        cut = "; cut at the flow's limit" if sample.cut else ""
        _print("", f"{_ending(verdict)}; {_size(sample)}{cut}", _style(verdict))
    if len(samples) > 1:
        print()
        _print("", f"together {told(voted, len(samples))}", "bold")


def _size(sample: Prediction) -> str:
    return f"{_count(sample.tokens, 'token')}, {_count(sample.chunks, 'chunk')}"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def _print_problem(problem: Problem, heading: str) -> None:
    _print("", f"{heading} ({problem.id})", "dim")
    _print("", problem.question, "bold")
    _print("", f"gold {problem.gold}")


def _print_fork(fork: Fork, margin: float, colour_of: dict[str, str]) -> None:
    tie = fork.tie(margin)
    lesson = _TIES[tie] if tie is not None else _CHOSEN if fork.better is fork.other else _REJECTED
    verdict = fork.branch.verdict
    indent = " " * _INDENT
    _print(indent, f"{lesson}; ended {_ending(verdict)}", _style(verdict))
    for move in fork.branch.moves[fork.node :]:
        _print_move(indent + " ", move, colour_of[move.agent])


def _lessons(forks: Sequence[Fork], margin: float) -> str:
    """Of the main move: whether another one is preferred to it, or it to another one."""
    pairs = [fork for fork in forks if fork.is_pair(margin)]
    return " ".join(dict.fromkeys(_CHOSEN if fork.better is fork.taken else _REJECTED for fork in pairs))


def _print_move(lead: str, move: Move, colour: str, lesson: str = "") -> None:
    from rich.text import Text

    name = visible_line(move.agent)
    nats = "" if math.isnan(move.logprob) else f"  {move.logprob:.2f}"
    indent = " " * (len(lead) + len(name) + 3)
    shown = Text(f"{lead} ", "dim")
    shown.append(f"{name}  ", f"bold {colour}")
    shown.append(visible(words_of(move).strip("\n")).replace("\n", f"\n{indent}"), colour)
    shown.append(nats, "dim")
    shown.append(f"  {lesson}" if lesson else "", "bold")
    _put(shown)


def _print(lead: str, words: str, style: str = "") -> None:
    from rich.text import Text

    _put(Text(lead + visible(words).replace("\n", f"\n{lead}"), style))


def _put(text: object) -> None:
    import rich

    rich.get_console().print(text, soft_wrap=True)


def _ending(verdict: Verdict) -> str:
    if verdict.error is not None:
        return f"? not judged ({visible_line(verdict.error)})"
    graded = f"◐ score {verdict.score:.2f}" if 0 < verdict.score < 1 else None
    said = graded or ("✔ right" if verdict.correct else "✘ wrong")
    return f"{said}, no answer" if verdict.extracted is None else f"{said}, answer {verdict.extracted}"


def _style(verdict: Verdict) -> str:
    return "green" if verdict.correct else "red"
