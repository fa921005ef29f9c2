"""Moves that go to the wrong problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flowdpo_pl.play.engines.swapped import SwappedEngine
from flowdpo_pl.types import Problem
from tests.conftest import World


def test_each_problem_gets_the_next_one_s_words(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    own = world.rollouts().play(problems).trees
    rollouts = world.rollouts()
    rollouts.engine = SwappedEngine(rollouts.engine, ("answer",))
    swapped = rollouts.play(problems).trees
    first = [tree.main.moves[0].token_ids for tree in own]
    assert [tree.main.moves[0].token_ids for tree in swapped] == [*first[1:], first[0]]
    none = world.rollouts()
    none.engine = SwappedEngine(none.engine, ())
    assert [tree.main for tree in none.play(problems).trees] == [tree.main for tree in own]


def test_a_choice_goes_with_its_word(make_world: Callable[..., World], problems: list[Problem]) -> None:
    world = make_world()
    rollouts = world.rollouts()
    rollouts.engine = SwappedEngine(rollouts.engine, ("stop",))
    for tree in rollouts.play(problems).trees:
        for move in tree.main.moves:
            if move.option is not None:
                assert move.text == world.prompts.option_words("stop")[move.option]
                assert replace(move, token_ids=(world.prompts.options("stop")[move.option],)) == move
