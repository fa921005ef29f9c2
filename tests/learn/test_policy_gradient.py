"""The policy gradient is, on average, the gradient of the expected return: counted out on a toy flow.

Also tests `learn.advantages`, `learn.groups` and `learn.objective`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import pytest
import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.advantages import Advantage, GroupNormalised, LeaveOneOut
from flowdpo_pl.learn.groups import MoveGroup, groups
from flowdpo_pl.learn.objective import MoveScores
from flowdpo_pl.learn.policy_gradient import ClippedPolicyGradient, PolicyGradient
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import NodeAlternatives, NodeGroups
from flowdpo_pl.types import Fork, Move, Problem, RolloutTree, Trajectory, Verdict

PROBLEM = Problem("p", "q", "g")
WRITER, CHOOSER = "writer", "chooser"
Path = tuple[Move, ...]


def turn(moves: Path) -> list[Move]:
    """The moves of the toy flow: write, choose among three words, and after the last one write again."""
    if len(moves) == 1:
        return [Move(CHOOSER, (word,), "", option=word) for word in range(3)]
    if not moves or (len(moves) == 2 and moves[1].option == 2):
        return [Move(WRITER, (token,), "") for token in range(2)]
    return []


def returned(moves: Path) -> float:
    """The score of an ending: fixed, and of no form."""
    return crc32(repr([move.token_ids for move in moves]).encode()) % 97 / 96


@dataclass
class Toy:
    """A table of logits for every place, in float64."""

    logits: dict[Path, Tensor] = field(default_factory=dict)

    def logprobs(self, moves: Path) -> Tensor:
        if moves not in self.logits:
            place = crc32(repr([move.token_ids for move in moves]).encode())
            drawn = torch.randn(len(turn(moves)), generator=torch.Generator().manual_seed(place))
            self.logits[moves] = drawn.double().requires_grad_()
        return self.logits[moves].log_softmax(-1)

    def paths(self, moves: Path = ()) -> Iterator[tuple[Path, Tensor]]:
        """Every way to go on, with its log-probability."""
        if not (choices := turn(moves)):
            yield moves, torch.zeros((), dtype=torch.float64)
            return
        for move, logprob in zip(choices, self.logprobs(moves), strict=True):
            for path, rest in self.paths((*moves, move)):
                yield path, logprob + rest

    def said(self, lessons: Sequence[MoveGroup]) -> Tensor:
        return torch.stack(
            [self.logprobs(one.prefix)[move.token_ids[0]] for one in lessons for move in one.moves]
        )

    def gradients(self, agent: str, value: Tensor) -> list[Tensor]:
        own = [logits for moves, logits in self.logits.items() if turn(moves)[0].agent == agent]
        return list(torch.autograd.grad(value, own))


def trajectory(moves: Path) -> Trajectory:
    score = returned(moves)
    return Trajectory(moves, "", Verdict(score > 0.5, score=score))


def trees(toy: Toy) -> Iterator[tuple[float, RolloutTree]]:
    """Every tree with the group of one node, and its probability: each main chain, each way of the others."""
    for main, logprob in toy.paths():
        for node in range(len(main)):
            before = main[:node]
            if main[node].option is None:
                ways = [list(toy.paths(before))] * 3
            else:
                words = [move for move in turn(before) if move != main[node]]
                ways = [list(toy.paths((*before, word))) for word in words]
            for others in itertools.product(*ways):
                probability = math.exp(float(logprob) + sum(float(way) for _, way in others))
                verdict = trajectory(main).verdict
                forks = [Fork(node, main[node], path[node], trajectory(path), verdict) for path, _ in others]
                yield probability, RolloutTree(PROBLEM, trajectory(main), tuple(forks))


@pytest.mark.parametrize("objective", [PolicyGradient(), ClippedPolicyGradient()])
@pytest.mark.parametrize("agent", [WRITER, CHOOSER])
def test_it_is_on_average_the_gradient_of_the_expected_return(agent: str, objective: PolicyGradient) -> None:
    toy = Toy()
    expected = sum(logprob.exp() * returned(path) for path, logprob in toy.paths())
    exact = toy.gradients(agent, expected)

    mined = ((p, one) for p, tree in trees(toy) for one in objective.mine([tree], 0.0))
    weights, lessons = zip(*((p, one) for p, one in mined if one.agent == agent), strict=True)
    policy = toy.said(lessons)
    losses, _ = objective.score(scores(policy), lessons)
    on_average = (losses * torch.tensor(weights, dtype=torch.float64)).sum()
    for own, right in zip(toy.gradients(agent, on_average), exact, strict=True):
        torch.testing.assert_close(own, -right, rtol=1e-9, atol=1e-12)
    assert max(float(right.abs().max()) for right in exact) > 1e-2


def test_divergence_at_each_node_is_taken_off_the_return() -> None:
    toy, reference = Toy(), Toy({moves: torch.zeros(2, dtype=torch.float64) for moves in [()]})
    objective = PolicyGradient(kl=0.3)
    here, there = toy.logprobs(()), reference.logprobs(())
    returns = [0.25, 0.75]
    value = (here.exp() * (torch.tensor(returns).double() - 0.3 * (here - there))).sum()
    (exact,) = torch.autograd.grad(value, toy.logits[()], retain_graph=True)

    lessons, weights = [], []
    for drawn in itertools.product(range(2), repeat=4):
        moves = tuple(Move(WRITER, (token,), "") for token in drawn)
        lessons.append(MoveGroup(PROBLEM, 0, WRITER, (), moves, tuple(returns[token] for token in drawn)))
        weights.append(math.exp(sum(float(here[token]) for token in drawn)))
    losses, numbers = objective.score(scores(toy.said(lessons), reference.said(lessons)), lessons)
    (own,) = torch.autograd.grad((losses * torch.tensor(weights, dtype=torch.float64)).sum(), toy.logits[()])
    torch.testing.assert_close(own, -exact, rtol=1e-9, atol=1e-12)
    divergence = (numbers["kl"] * torch.tensor(weights, dtype=torch.float64)).sum()
    torch.testing.assert_close(divergence, (here.exp() * (here - there)).sum())
    assert objective.needs_reference and not PolicyGradient().needs_reference


def scores(policy: Tensor, reference: Tensor | None = None, before: Tensor | None = None) -> MoveScores:
    unknown = torch.full_like(policy, math.nan)
    known = policy.detach() if before is None else before
    there = unknown if reference is None else reference.detach()
    return MoveScores(policy, there, known, torch.ones_like(policy))


def group(*returns: float) -> MoveGroup:
    moves = tuple(Move(WRITER, (token,), "") for token in range(len(returns)))
    return MoveGroup(PROBLEM, 0, WRITER, (), moves, returns)


def test_advantages_by_hand() -> None:
    assert LeaveOneOut()([1.0, 0.0, 0.0, 1.0]) == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    # standard deviation sqrt(1 / 3)
    assert GroupNormalised()([1.0, 0.0, 0.0, 1.0]) == pytest.approx(
        [0.86603, -0.86603, -0.86603, 0.86603], abs=1e-5
    )
    assert GroupNormalised()([1.0, 1.0]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("advantage", "first", "others"),
    [(LeaveOneOut(), 0.1 - 0.3, -0.1 / 3 + 0.1), (GroupNormalised(), 1.5 - 0.3, -0.5 + 0.1)],
)
def test_a_nat_of_divergence_costs_so_much_of_an_advantage(
    advantage: Advantage, first: float, others: float
) -> None:
    policy = torch.zeros(4, requires_grad=True)
    reference = torch.tensor([-1.0, 0.0, 0.0, 0.0])
    losses, _ = PolicyGradient(kl=0.3, advantage=advantage).score(
        scores(policy, reference), [group(0.1, 0.0, 0.0, 0.0)]
    )
    losses.sum().backward()
    torch.testing.assert_close(policy.grad, -torch.tensor([first, others, others, others]) / 4)


def test_what_moved_far_in_the_direction_of_its_advantage_moves_no_further() -> None:
    lesson = group(1.0, 1.0, 0.0, 0.0)
    before = torch.zeros(4)
    policy = torch.tensor([1.3, 0.9, 0.7, 1.1]).log().requires_grad_()
    losses, numbers = ClippedPolicyGradient(clip=0.2).score(scores(policy, before=before), [lesson])
    losses.sum().backward()
    # -(1.2 + 0.9 - 0.8 - 1.1) * (2 / 3) / 4
    assert float(losses.detach()) == pytest.approx(-0.2 / 6)
    assert policy.grad is not None
    assert policy.grad.tolist() == pytest.approx([0.0, -0.9 / 6, 0.0, 1.1 / 6])
    assert float(numbers["clipped"]) == 0.5


def test_groups_that_agree_teach_nothing_and_are_counted() -> None:
    def tree(*rights: bool) -> RolloutTree:
        ends = [Trajectory((Move(WRITER, (n,), ""),), "", Verdict(right)) for n, right in enumerate(rights)]
        main, *others = ends
        forks = [Fork(0, main.moves[0], end.moves[0], end, main.verdict) for end in others]
        return RolloutTree(PROBLEM, main, tuple(forks))

    played = [tree(True, True, True, True), tree(True, False, True, True), tree(False)]
    assert [one.returns for one in groups(played)] == [(1.0,) * 4, (1.0, 0.0, 1.0, 1.0)]
    assert PolicyGradient().counts(played, WRITER) == {"groups": 2, "groups_taught": 1}
    assert PolicyGradient().counts(played, CHOOSER) == {"groups": 0, "groups_taught": 0}
    assert len(PolicyGradient().mine(played, 0.0)) == 1
    assert len(PolicyGradient(kl=0.1).mine(played, 0.0)) == 2, "their divergence costs something"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            lambda: (NodeAlternatives(), Sampling(), None, 0.0),
            "NodeAlternatives plays other moves .*NodeGroups",
        ),
        (lambda: (NodeGroups(), Sampling(temperature=0.7), None, 0.0), r"temperature 1 .* has 0\.7 and 1"),
        (lambda: (NodeGroups(), Sampling(top_p=0.9), None, 0.0), r"has 1 and 0\.9"),
        (lambda: (NodeGroups(), Sampling(), 16, 0.0), r"model\.pairs_per_update deals out pairs"),
        (lambda: (NodeGroups(), Sampling(), None, 0.1), r"model\.score_margin says which endings"),
    ],
)
def test_what_has_no_such_gradient_is_refused(given: Callable[[], tuple[object, ...]], said: str) -> None:
    with pytest.raises(UserError, match=said):
        PolicyGradient().require_fits(*given())  # type: ignore[arg-type]
    PolicyGradient().require_fits(NodeGroups(), Sampling(), None, 0.0)


def test_settings_that_mean_nothing_are_refused() -> None:
    for make, said in (
        (lambda: PolicyGradient(kl=-1), "kl is -1"),
        (lambda: ClippedPolicyGradient(clip=0), "clip is 0"),
        (lambda: ClippedPolicyGradient(passes=1), "passes is 1: give at least 2"),
        (lambda: NodeGroups(draws=3), "draws is 3: give at least 4"),
    ):
        with pytest.raises(UserError, match=said):
            make()
