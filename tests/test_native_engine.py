"""The native engine is the plain engine, faster: same moves, same log-probabilities, any batch shape."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flowdpo_pl.rollouts import Exploration
from flowdpo_pl.types import Problem, RolloutTree
from tests.conftest import World
from tests.models import FAMILIES


def moves(tree: RolloutTree) -> list[tuple[int, ...]]:
    paths = [tree.main, *(fork.branch for fork in tree.forks)]
    return [move.token_ids for path in paths for move in path.moves]


def logprobs(tree: RolloutTree) -> list[float]:
    paths = [tree.main, *(fork.branch for fork in tree.forks)]
    return [move.logprob for path in paths for move in path.moves]


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_equals_uncached(
    family: str, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world(family)
    fast = world.rollouts().play(problems, Exploration()).trees
    plain = world.plain_rollouts().play(problems, Exploration()).trees
    for one, other in zip(fast, plain, strict=True):
        assert moves(one) == moves(other)
        assert logprobs(one) == pytest.approx(logprobs(other), abs=1e-4)


def test_batched_equals_one_by_one(make_world: Callable[..., World], problems: list[Problem]) -> None:
    world = make_world()
    together = world.rollouts().play(problems, Exploration()).trees
    alone = [world.rollouts(token_budget=1).play([p], Exploration()).trees[0] for p in problems]
    assert [moves(tree) for tree in together] == [moves(tree) for tree in alone]
