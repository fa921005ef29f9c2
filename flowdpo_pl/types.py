"""The vocabulary of the project: plain frozen data, standard library only.

A *flow* is a conversation of agents about one problem. Each utterance is a `Move`; the main
chain and its alternatives form a `RolloutTree`; endings that differ in their scores give
`PreferencePair`s. Token ids are the truth everywhere, text is a view of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

Agent: TypeAlias = str
"""Name of an agent and of its LoRA adapter."""
BY_CORRECTNESS: Any = object()
"""Stands for a score that is left out: 1 if the answer is correct, else 0."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its gold answer."""

    id: str
    question: str
    gold: str
    seed_question: str = ""
    """Groups rewrites of one question (MetaMath's `original_question`); empty: its own group."""
    labels: tuple[tuple[str, str], ...] = ()
    """Names and values that accuracies are broken down by, such as `("level", "Level 2")`."""
    kept: tuple[tuple[str, Any], ...] = field(default=(), hash=False)
    """Further columns of its row (`data.train.keep`) and their values, as JSON has them; for verifiers."""

    def __getitem__(self, column: str) -> Any:
        """The value of a kept column, as JSON has it.

        Raises:
            KeyError: the column is not kept.
        """
        for name, value in self.kept:
            if name == column:
                return value
        raise KeyError(f"problem {self.id} has no column {column!r}: name it in `keep` of its data")


@dataclass(frozen=True, slots=True)
class Move:
    """One utterance of one agent.

    A written move ends with the end token if the agent ended it, otherwise it has exactly the
    chunk's length. A chosen move has one token and an `option`.
    """

    agent: Agent
    token_ids: tuple[int, ...]
    text: str
    option: int | None = None
    """Index among the turn's options; None for a written move."""
    logprob: float = float("nan")
    """Log-probability under the distribution it was drawn from, summed over its tokens (nats)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier says of one answer.

    Raises:
        ValueError: the score is no number in [0, 1], or there is an error and the answer is not wrong.
    """

    correct: bool
    extracted: str | None = None
    error: str | None = None
    """Why no judgement was possible (`timeout`, or the exception); such an answer is not correct."""
    score: float = BY_CORRECTNESS
    """How good the answer is, in [0, 1]; left out: 1 if it is correct, else 0. Accuracies are means of
    scores, and of two endings the one with the higher score is the better."""

    def __post_init__(self) -> None:
        if self.score is BY_CORRECTNESS:
            object.__setattr__(self, "score", 1.0 if self.correct else 0.0)
        if not 0 <= self.score <= 1:
            raise ValueError(f"a verdict's score is {self.score}: give a number from 0 to 1")
        if self.error is not None and (self.correct or self.score):
            raise ValueError(f"a verdict has an error ({self.error}) and is not wrong: give correct=False")


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A finished path through the flow: every move from the problem on, the answer, its verdict."""

    moves: tuple[Move, ...]
    answer: str
    verdict: Verdict

    @property
    def correct(self) -> bool:
        return self.verdict.correct

    @property
    def score(self) -> float:
        return self.verdict.score


@dataclass(frozen=True, slots=True)
class Fork:
    """A node of the main chain where another path leaves it, and that path to its end."""

    node: int
    """Index into the main chain's moves of the move that the alternative replaces."""
    taken: Move
    other: Move
    branch: Trajectory
    """The alternative's whole path: main moves before `node`, `other`, and its continuation."""
    taken_verdict: Verdict
    """Of the main chain."""

    @property
    def taken_correct(self) -> bool:
        return self.taken_verdict.correct

    @property
    def other_correct(self) -> bool:
        return self.branch.correct

    @property
    def better(self) -> Move:
        """Of the two moves, the one whose ending has the higher score; of equal scores `other`."""
        return self.taken if self.taken_verdict.score > self.branch.score else self.other

    @property
    def worse(self) -> Move:
        return self.other if self.better is self.taken else self.taken

    @property
    def repeats(self) -> bool:
        """Whether the other move is the move taken, as an independent draw may be."""
        return self.taken.token_ids == self.other.token_ids

    def is_pair(self, margin: float = 0.0) -> bool:
        """Whether the scores of the two endings differ by more than `margin`, and the moves differ."""
        return not self.repeats and abs(self.taken_verdict.score - self.branch.score) > margin

    def tie(self, margin: float = 0.0) -> Tie | None:
        """Why the fork gives no pair; None if it gives one."""
        if self.is_pair(margin):
            return None
        if self.repeats:
            return Tie.REPEATED
        both = self.taken_verdict.score + self.branch.score
        return Tie.BOTH_RIGHT if both >= 1 else Tie.BOTH_WRONG


@dataclass(frozen=True, slots=True)
class RolloutTree:
    """A problem's main chain and the alternatives to its moves (no forks of forks)."""

    problem: Problem
    main: Trajectory
    forks: tuple[Fork, ...] = ()
    nodes_without_alternative: tuple[int, ...] = ()
    """Nodes whose policy left nothing else to draw (greedy, or one token possible everywhere); 0 for a
    further path that was the main chain again."""

    def pairs(self, margin: float = 0.0) -> Iterator[PreferencePair]:
        """Every two moves made at a node whose endings' scores differ by more than `margin`.

        By node; of each alternative first the pair with the main chain's move.
        """
        for place, fork in enumerate(self.forks):
            main = (fork.taken, fork.taken_verdict.score)
            before = [(one.other, one.branch.score) for one in self.forks[:place] if one.node == fork.node]
            for move, score in (main, *before):
                gained = fork.branch.score - score
                if abs(gained) > margin and move.token_ids != fork.other.token_ids:
                    two = (move, fork.other) if gained < 0 else (fork.other, move)
                    prefix = self.main.moves[: fork.node]
                    yield PreferencePair(self.problem, fork.node, fork.taken.agent, prefix, *two)


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two moves of one agent after the same prefix, the better one first."""

    problem: Problem
    node: int
    agent: Agent
    prefix: tuple[Move, ...]
    chosen: Move
    rejected: Move

    @property
    def moves(self) -> tuple[Move, Move]:
        return self.chosen, self.rejected


class Tie(StrEnum):
    """Why a node gave no pair."""

    BOTH_RIGHT = "both_right"
    """Of graded endings: their scores are too close, and a half or more on average."""
    BOTH_WRONG = "both_wrong"
    REPEATED = "repeated"
    """An independent draw was the move taken again."""
    NO_ALTERNATIVE = "no_alternative"
    """Nothing else could be drawn."""


def answer_tokens(moves: Sequence[Move]) -> int:
    """Number of tokens in the written moves of a path (an end token counts)."""
    return sum(len(move.token_ids) for move in moves if move.option is None)
