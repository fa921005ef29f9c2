"""Who reads along hears just the moves of the main chains, in their order, and changes none."""

from __future__ import annotations

from collections.abc import Callable

from flowdpo_pl.play.engines.told import ToldEngine
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.types import Move, Problem
from tests.conftest import World


def test_the_moves_are_those_of_the_main_chains(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    known = world.rollouts().play(problems[:1], NodeAlternatives())
    told: list[Move] = []
    rollouts = world.rollouts()
    rollouts.engine = ToldEngine(rollouts.engine, world.prompts, told.append)
    (tree,) = rollouts.play(problems[:1], NodeAlternatives()).trees
    assert tuple(told) == tree.main.moves
    assert tree == known.trees[0] and tree.forks
