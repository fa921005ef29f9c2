"""What the agent that chooses was asked: what the partial answer held at that moment, and what it said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, get_args

from flowdpo_pl.types import Move, Problem, RolloutTree
from flowdpo_pl.verify.verifier import Verifier

PartialAnswer: TypeAlias = Literal["none", "wrong", "right"]
"""What a partial answer holds: no explicitly marked result, a wrong one, the right one."""

PARTIAL_ANSWERS: tuple[PartialAnswer, ...] = get_args(PartialAnswer)

ChooserQuestion: TypeAlias = tuple[PartialAnswer, bool]
"""One question to the chooser: what the partial answer held, and whether it said finished."""


def partial_answer(verifier: Verifier, text: str, problem: Problem) -> PartialAnswer:
    """What a partial answer holds, by an explicit marker only (a last number is no result yet)."""
    if verifier.marked(text) is None:
        return "none"
    return "right" if verifier.judge(text, problem).correct else "wrong"


def chooser_questions(
    tree: RolloutTree,
    closes: Callable[[Move], bool],
    judge: Callable[[str, Problem], PartialAnswer],
    text_of: Callable[[Sequence[Move]], str],
) -> tuple[ChooserQuestion, ...]:
    """What agents that choose were asked on the main chain, in order.

    Args:
        tree: the problem and its main chain.
        closes: says whether a choice is that the answer is finished (`Flow.closes`).
        judge: called with a partial answer's text and the problem; says what the text holds.
        text_of: called with written moves in order; gives the partial answer that they make.
    """
    moves = tree.main.moves
    questions: list[ChooserQuestion] = []
    for node, move in enumerate(moves):
        if move.option is not None:
            text = text_of([earlier for earlier in moves[:node] if earlier.option is None])
            questions.append((judge(text, tree.problem), closes(move)))
    return tuple(questions)
