"""What an agent learns from a batch of trees: its lessons, and what the scores of their moves are worth.

A lesson is some moves of one agent at one node: a preference pair (`losses`), or a group of draws with the
returns of their endings (`policy_gradient`). Everything else, packing, scoring, the reference and the step,
is the same for all of them (`learner`).

Shapes: L lessons, M moves, lesson after lesson.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flowdpo_pl.learn.packing import Lesson
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.types import Agent, RolloutTree


@dataclass(frozen=True)
class MoveScores:
    """Log-probabilities of moves, sums over their tokens, in nats; every field is `[M]`."""

    policy: Tensor
    """With gradients."""
    reference: Tensor
    """Not a number where the objective needs none."""
    before: Tensor
    """The policy's at the start of the batch, without gradients; `policy` itself where there is one step."""
    tokens: Tensor


class Objective(ABC):
    """What one agent learns; a config names a class of these. A subclass says which lessons it reads."""

    passes: int = 1
    """Optimizer steps on the same lessons."""

    @property
    @abstractmethod
    def needs_reference(self) -> bool:
        """Whether it asks what the reference says; if not, the reference reads nothing (one forward less)."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[str, ...]:
        """Names of what `score` measures, in logs behind the agent's name."""

    def require_fits(  # noqa: B027 - most learn from whatever is played
        self, exploration: Exploration, sampling: Sampling, pairs_per_update: int | None, score_margin: float
    ) -> None:
        """
        Raises:
            UserError: what is played so, or dealt out so, is nothing to learn from.
        """

    @abstractmethod
    def mine(self, trees: Sequence[RolloutTree], margin: float) -> Sequence[Lesson]:
        """The lessons of all agents in these trees, in stream order.

        `margin`: endings whose scores differ by no more are ties.
        """

    def counts(self, trees: Sequence[RolloutTree], agent: Agent) -> Mapping[str, float]:
        """Further numbers of an agent's nodes, which add up over ranks and batches."""
        return {}

    def shares(self, lessons: int, problems: int) -> int:
        """What an update divides the sum of its losses by, given how many of either all ranks have."""
        return lessons

    @abstractmethod
    def score(self, scores: MoveScores, lessons: Sequence[Any]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of each lesson `[L]`, and its `numbers`, `[L]` each."""
