"""The vocabulary of the project: plain frozen data, standard library only.

A *flow* is a conversation of agents about one problem. Each utterance is a `Move`; the main
chain and its alternatives form a `RolloutTree`; endings that differ in correctness give
`PreferencePair`s. Token ids are the truth everywhere, text is a view of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Agent: TypeAlias = str
"""Name of an agent and of its LoRA adapter."""


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
    """What the verifier says of one answer."""

    correct: bool
    extracted: str | None = None
    error: str | None = None
    """Why no judgement was possible (`timeout`, or the exception); such an answer is not correct."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A finished path through the flow: every move from the problem on, the answer, its verdict."""

    moves: tuple[Move, ...]
    answer: str
    verdict: Verdict

    @property
    def correct(self) -> bool:
        return self.verdict.correct


@dataclass(frozen=True, slots=True)
class Fork:
    """A node of the main chain where another path leaves it, and that path to its end."""

    node: int
    """Index into the main chain's moves of the move that the alternative replaces."""
    taken: Move
    other: Move
    branch: Trajectory
    """The alternative's whole path: main moves before `node`, `other`, and its continuation."""
    taken_correct: bool

    @property
    def other_correct(self) -> bool:
        return self.branch.correct

    @property
    def flipped(self) -> bool:
        """Whether the two endings differ in correctness, which makes the fork a pair."""
        return self.taken_correct != self.other_correct

    @property
    def tie(self) -> Tie | None:
        """Why the fork gives no pair; None if it gives one."""
        if self.flipped:
            return None
        return Tie.BOTH_RIGHT if self.taken_correct else Tie.BOTH_WRONG


@dataclass(frozen=True, slots=True)
class RolloutTree:
    """A problem's main chain and the alternatives to its moves (no forks of forks)."""

    problem: Problem
    main: Trajectory
    forks: tuple[Fork, ...] = ()
    nodes_without_alternative: tuple[int, ...] = ()
    """Nodes whose policy left nothing else to draw (greedy, or one token possible everywhere); 0 for a
    further path that was the main chain again."""


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two moves of one agent after the same prefix, the better one first."""

    problem: Problem
    node: int
    agent: Agent
    prefix: tuple[Move, ...]
    chosen: Move
    rejected: Move


class Tie(StrEnum):
    """Why a node gave no pair."""

    BOTH_RIGHT = "both_right"
    BOTH_WRONG = "both_wrong"
    NO_ALTERNATIVE = "no_alternative"


def answer_tokens(moves: Sequence[Move]) -> int:
    """Number of tokens in the written moves of a path (an end token counts)."""
    return sum(len(move.token_ids) for move in moves if move.option is None)
