"""Policy gradients: moves that ended better than the others at their node become likelier.

The expected return of a flow changes, with one agent's weights, by the sum over its nodes of
E[advantage of the move * gradient of its log-probability]; the other agents are environment. A node's part is
taken from its group (`groups`):

- of independent draws, the mean over its members;
- of all words of a choice, the sum over them, each weighed by its probability: nothing is drawn.

Divided by the number of problems this is, on average, exactly the gradient of the expected return.

Shapes: L groups, M moves, group after group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from flowdpo_pl.errors import NOT_NEGATIVE, POSITIVE, SEVERAL, UserError, require_within
from flowdpo_pl.learn.advantages import Advantage, LeaveOneOut
from flowdpo_pl.learn.groups import MoveGroup, groups
from flowdpo_pl.learn.objective import MoveScores, Objective
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.types import Agent, RolloutTree


@dataclass(frozen=True)
class PolicyGradient(Objective):
    """The gradient of the expected return, of one step on each batch.

    The loss is 0 whatever is learnt, since advantages add up to 0: look at `groups_taught`,
    `advantage_spread` and `kl`.
    """

    kl: float = 0.0
    """What a nat of Kullback-Leibler divergence from the reference costs at each node, in units of
    `advantage`: with `LeaveOneOut` those of the return, with `GroupNormalised` standard deviations of the
    group. 0: no reference is read."""
    advantage: Advantage = field(default_factory=LeaveOneOut)
    """How returns of draws are compared. Words of a choice are compared with their expected return."""

    def __post_init__(self) -> None:
        require_within(NOT_NEGATIVE, {"kl": self.kl})

    @property
    def needs_reference(self) -> bool:
        return self.kl > 0

    @property
    def numbers(self) -> tuple[str, ...]:
        return ("return", "advantage_spread", "entropy", "kl")

    def require_fits(
        self, exploration: Exploration, sampling: Sampling, pairs_per_update: int | None, score_margin: float
    ) -> None:
        name = type(self).__name__
        if not exploration.independent:
            raise UserError(
                f"model.learning.loss is {name}, which learns from independent draws at a node, and "
                f"{type(exploration).__name__} plays other moves than the one taken: set model.exploration "
                "to flowdpo_pl.NodeGroups."
            )
        if sampling.temperature != 1 or sampling.top_p != 1:
            raise UserError(
                f"model.learning.loss is {name}, the gradient of play at temperature 1 and top_p 1, but "
                f"model.sampling has {sampling.temperature:g} and {sampling.top_p:g}: leave both out."
            )
        if pairs_per_update is not None:
            raise UserError(
                f"model.pairs_per_update deals out pairs, but {name} learns from groups: leave it out; "
                "several steps a batch are flowdpo_pl.ClippedPolicyGradient's passes."
            )
        if score_margin:
            raise UserError(
                f"model.score_margin says which endings make a pair, but {name} learns from every difference "
                "of returns: leave it out."
            )

    def mine(self, trees: Sequence[RolloutTree], margin: float) -> Sequence[MoveGroup]:
        """Every group with a gradient: those whose returns differ; all where divergence costs something."""
        return [group for group in groups(trees) if group.teaches or self.kl]

    def counts(self, trees: Sequence[RolloutTree], agent: Agent) -> Mapping[str, float]:
        """`groups` of the agent, and `groups_taught`, those whose returns differ."""
        own = [group for group in groups(trees) if group.agent == agent]
        taught = sum(group.teaches for group in own)
        return {"groups": float(len(own)), "groups_taught": float(taught)}

    def shares(self, lessons: int, problems: int) -> int:
        return problems

    def score(self, scores: MoveScores, lessons: Sequence[MoveGroup]) -> tuple[Tensor, Mapping[str, Tensor]]:
        members = _Members(scores.before, lessons)
        advantages = members.advantages(self.advantage)
        divergence = scores.before - scores.reference
        if self.kl:
            advantages = advantages - self.kl * members.above_the_rest(divergence)
        ratio = (scores.policy - scores.before).exp()
        losses = members.mean(-self.gain(ratio, advantages))
        return losses, {
            "return": members.mean(members.returns),
            "advantage_spread": members.mean(advantages.square()).sqrt(),
            "entropy": -members.mean(scores.before),
            "kl": members.mean(divergence),
            **self.further(ratio, members),
        }

    def gain(self, ratio: Tensor, advantages: Tensor) -> Tensor:
        """What each move adds to the return `[M]`, to first order, as its probability changes by `ratio`."""
        return ratio * advantages

    def further(self, ratio: Tensor, members: _Members) -> Mapping[str, Tensor]:
        """More numbers `[L]`."""
        return {}


@dataclass(frozen=True)
class ClippedPolicyGradient(PolicyGradient):
    """Several steps on each batch; what has moved far enough moves no further (PPO, arXiv 1707.06347).

    min(ratio * advantage, clip(ratio, 1 - clip, 1 + clip) * advantage): the ratio is that of the whole move's
    probability to the one at the start of the batch, which is read without dropout. Where none drops anything
    out it is 1 at the first step, and the gradient that of `PolicyGradient`.
    """

    clip: float = 0.2
    """How far a move's probability may change in a batch, as a share of itself."""
    passes: int = 2
    """Optimizer steps on the same groups; with one the clip would never act."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_within(POSITIVE, {"clip": self.clip})
        require_within(SEVERAL, {"passes": self.passes})

    @property
    def numbers(self) -> tuple[str, ...]:
        return (*super().numbers, "clipped")

    def gain(self, ratio: Tensor, advantages: Tensor) -> Tensor:
        near = ratio.clamp(1 - self.clip, 1 + self.clip)
        return torch.minimum(ratio * advantages, near * advantages)

    def further(self, ratio: Tensor, members: _Members) -> Mapping[str, Tensor]:
        return {"clipped": members.mean(((ratio - 1).abs() > self.clip).to(ratio.dtype))}


class _Members:
    """The moves of some groups, and what their node gives each of them a weight of."""

    def __init__(self, before: Tensor, lessons: Sequence[MoveGroup]) -> None:
        """`before`: log-probabilities `[M]` that the moves were drawn with."""
        device = before.device
        self._lessons = lessons
        self.sizes = torch.tensor([len(group.moves) for group in lessons], device=device)
        self.group = torch.arange(len(lessons), device=device).repeat_interleave(self.sizes)
        """[M] which group each belongs to."""
        self.returns = before.new_tensor([one for group in lessons for one in group.returns])
        self.words = torch.tensor([group.of_words for group in lessons], device=device)[self.group]
        """[M] whether it is a word of a choice."""
        self.weights = torch.where(self.words, before.exp(), 1 / self.sizes[self.group].to(before.dtype))

    def mean(self, values: Tensor) -> Tensor:
        """Of each group `[L]`, of its members' values `[M]`; words count as they are likely."""
        return values.new_zeros(len(self._lessons)).index_add(0, self.group, self.weights * values)

    def above_the_rest(self, values: Tensor) -> Tensor:
        """[M] less the mean of the others in the group; of words less the expected value."""
        own = values - self.mean(values)[self.group]
        sizes = self.sizes[self.group]
        return torch.where(self.words, own, own * sizes / (sizes - 1).clamp(min=1))

    def advantages(self, advantage: Advantage) -> Tensor:
        """[M] of draws by `advantage`; of words what each returned above the expected return."""
        drawn = [one for group in self._lessons for one in advantage(group.returns)]
        return torch.where(self.words, self.above_the_rest(self.returns), self.returns.new_tensor(drawn))
