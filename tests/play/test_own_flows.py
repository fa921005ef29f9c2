"""Any flow is played and learnt as exactly as the paper's. Also tests `play.contexts`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.types import Move, Problem, RolloutTree
from tests.conftest import World
from tests.fakes import END, WordTokenizer
from tests.learn.test_scoring import every_fork, packed_logprobs
from tests.oracles import padded_scores, replayed_logprob
from tests.relay import PLAIN, RELAY, RELAY_PROMPTS, WITH_A_NOTE


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(flow=RELAY, prompts=RELAY_PROMPTS, adapted=("x", "y"))


def moves(tree: RolloutTree) -> list[tuple[str, int | None, tuple[int, ...]]]:
    paths = [tree.main, *(fork.branch for fork in tree.forks)]
    return [(move.agent, move.option, move.token_ids) for path in paths for move in path.moves]


def logprobs(tree: RolloutTree) -> list[float]:
    return [move.logprob for path in (tree.main, *(f.branch for f in tree.forks)) for move in path.moves]


def test_words_are_spliced_as_token_ids_and_none_is_read_twice() -> None:
    tokenizer = WordTokenizer()
    book = PromptBook(RELAY, RELAY_PROMPTS, tokenizer, (END,))  # type: ignore[arg-type]
    problem, ids = Problem("p", "one two", ""), tokenizer.ids
    choice = Move("y", (900,), "No", option=WITH_A_NOTE)
    said = [Move("x", (801, END), ""), choice, Move("y", (901,), ""), Move("z", (701, 702), "")]
    first = book.context("x", problem, ())
    assert first.token_ids == ids("the problem : one two so far : is answer ? assistant:")
    again = book.context("x", problem, [*said, Move("x", (802,), ""), Move("y", (903,), "", option=PLAIN)])
    assert again.prefix == (*ids("the problem : one two so far :"), 801, 802, *ids("is"), 701, 702)
    assert again.suffix == ids("answer ? assistant:")
    asked = book.context("y", problem, said[:1])
    assert (asked.prefix, asked.suffix) == (
        (801, *ids("is it")),
        ids("finished ? one two assistant:"),
    )
    note = book.context("y", problem, said[:2])
    assert note.token_ids == (801, *ids("is it finished ? one two assistant:"), 900)
    base = book.context("z", problem, said[:3])
    assert base.token_ids == (*ids("so"), 900, 901, *ids("far one two"), 901, *ids("it assistant:"))


def test_cached_equals_uncached(world: World, problems: list[Problem]) -> None:
    fast = world.rollouts().play(problems, NodeAlternatives()).trees
    plain = world.plain_rollouts().play(problems, NodeAlternatives()).trees
    said = {(move.agent, move.option) for tree in fast for fork in tree.forks for move in fork.branch.moves}
    assert said == {("x", None), ("y", None), ("z", None), ("y", 0), ("y", 1), ("y", 2)}
    for one, other in zip(fast, plain, strict=True):
        assert moves(one) == moves(other)
        assert logprobs(one) == pytest.approx(logprobs(other), abs=1e-4)


def test_a_move_s_logprob_is_that_of_reading_its_path_alone(world: World, problems: list[Problem]) -> None:
    for tree in world.rollouts().play(problems[:2], NodeAlternatives()).trees:
        for index, move in enumerate(tree.main.moves):
            replayed = replayed_logprob(tree, tree.main.moves, index, world.prompts, world.plain)
            assert move.logprob == pytest.approx(float(replayed), abs=1e-4)


def test_every_context_is_within_what_was_admitted(world: World, problems: list[Problem]) -> None:
    for tree in world.rollouts().play(problems, NodeAlternatives()).trees:
        longest = world.prompts.longest(tree.problem)
        for path in (tree.main, *(fork.branch for fork in tree.forks)):
            for index, move in enumerate(path.moves):
                read = world.prompts.context(move.agent, tree.problem, path.moves[:index]).token_ids
                assert len(read) + len(move.token_ids) * (move.option is None) <= longest


@pytest.mark.parametrize("agent", ["x", "y"])
def test_packed_equals_padded(agent: str, world: World, problems: list[Problem]) -> None:
    pairs = every_fork(world, problems, agent)
    kinds = {pair.chosen.option is None for pair in pairs}
    assert kinds == ({True, False} if agent == "y" else {True})  # y does both
    expected = padded_scores(pairs, world.prompts, world.plain)
    with world.agents.acting_as(agent):
        found = packed_logprobs(world, pairs, 10**6)
    for index, pair in enumerate(pairs):
        plain = torch.stack([expected.policy_chosen[index], expected.policy_rejected[index]])
        torch.testing.assert_close(found[pair.problem.id, pair.node], plain, atol=2e-5, rtol=1e-5)


def test_a_pair_of_words_is_a_difference_of_two_logits(world: World, problems: list[Problem]) -> None:
    """Whatever the third word's logit: it cancels."""
    trees = world.rollouts().play(problems, NodeAlternatives()).trees
    fork, tree = next((f, t) for t in trees for f in t.forks if f.taken.option is not None)
    context = world.prompts.context("y", tree.problem, tree.main.moves[: fork.node])
    logits = world.plain.logits("y", context.token_ids)[-1]
    difference = float(logits[fork.taken.token_ids[0]] - logits[fork.other.token_ids[0]])
    assert fork.taken.logprob - fork.other.logprob == pytest.approx(difference, abs=1e-4)
