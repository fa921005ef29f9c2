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
    finishes: Callable[[Sequence[Move], Move], bool | None],
    judge: Callable[[str, Problem], PartialAnswer],
    answer_of: Callable[[Sequence[Move]], str],
) -> tuple[ChooserQuestion, ...]:
    """What agents that choose were asked on the main chain, in order.

    Args:
        tree: the problem and its main chain.
        finishes: says of a choice, after the moves before it, whether it ended the flow; None where that was
            not the question (`Flow.finishes`).
        judge: called with a partial answer's text and the problem; says what the text holds.
        answer_of: the answer so far after some moves, as text.
    """
    moves = tree.main.moves
    questions: list[ChooserQuestion] = []
    for node, move in enumerate(moves):
        finished = finishes(moves[:node], move)
        if finished is not None:
            questions.append((judge(answer_of(moves[:node]), tree.problem), finished))
    return tuple(questions)
