"""The native engine is the plain engine, faster: same moves, same log-probabilities, any batch shape.

Also tests `play.engines.protocol`: both engines take its requests and give its results.
Also tests `play.engines.reader` and `play.engines.writing`: the engine is made of them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.attention import View
from flowdpo_pl.play.engines.native import NativeEngine
from flowdpo_pl.play.engines.protocol import ChooseRequest, WriteRequest
from flowdpo_pl.play.engines.reader import Reader
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.writing import Writing
from flowdpo_pl.play.exploration import Exploration, NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
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
    fast = world.rollouts().play(problems, NodeAlternatives()).trees
    plain = world.plain_rollouts().play(problems, NodeAlternatives()).trees
    for one, other in zip(fast, plain, strict=True):
        assert moves(one) == moves(other)
        assert logprobs(one) == pytest.approx(logprobs(other), abs=1e-4)


def test_samples_equal_their_own_draws(make_world: Callable[..., World], problems: list[Problem]) -> None:
    world = make_world()
    numbers = [0] * len(problems) + [2] * len(problems)
    together = world.rollouts().play([*problems, *problems], NodeAlternatives(), numbers).trees
    alone = [*world.rollouts().play(problems, NodeAlternatives()).trees]
    world.draws = world.draws.of_sample(2)
    alone += world.rollouts().play(problems, NodeAlternatives()).trees
    assert [moves(tree) for tree in together] == [moves(tree) for tree in alone]


@dataclass(frozen=True)
class FurtherPaths(Exploration):
    """Three more from each question."""

    further_paths: ClassVar[int] = 3


@pytest.mark.parametrize(
    ("exploration", "samples"), [(Exploration(), 4), (FurtherPaths(), 1)], ids=["samples", "paths"]
)
@pytest.mark.parametrize("token_budget", [65_536, 150])
def test_a_question_that_several_paths_answer_is_read_once(
    exploration: Exploration,
    samples: int,
    token_budget: int,
    make_world: Callable[..., World],
    problems: list[Problem],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is read before the first token costs four paths hardly more than one; the moves are the same."""
    world = make_world()
    read: list[int] = []
    hidden = world.agents.hidden

    def counted(token_ids: Tensor, positions: Tensor, view: View) -> Tensor:
        if token_ids.shape[1] > 1:
            read.append(token_ids.numel())
        return hidden(token_ids, positions, view)

    monkeypatch.setattr(world.agents, "hidden", counted)
    long = [replace(p, question=f"{p.question} " * 8) for p in problems]
    numbers = [number for _ in long for number in range(samples)]
    asked = [problem for problem in long for _ in range(samples)]
    several = world.rollouts(token_budget).play(asked, exploration, numbers).trees
    together = sum(read)
    read.clear()
    world.rollouts(token_budget).play(long)
    once = sum(read)
    assert together < 1.5 * once  # the rest: what each path reads of its own partial answer
    monkeypatch.setattr(Reader, "shared", lambda *_: [])
    apart = world.rollouts(token_budget).play(asked, exploration, numbers).trees
    assert [moves(tree) for tree in several] == [moves(tree) for tree in apart]


def test_batched_equals_one_by_one(make_world: Callable[..., World], problems: list[Problem]) -> None:
    world = make_world()
    together = world.rollouts().play(problems, NodeAlternatives()).trees
    alone = [world.rollouts(token_budget=1).play([p], NodeAlternatives()).trees[0] for p in problems]
    assert [moves(tree) for tree in together] == [moves(tree) for tree in alone]


def test_out_of_memory_halves_a_wave_and_changes_no_draw(
    make_world: Callable[..., World], problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    together = world.rollouts().play(problems, NodeAlternatives()).trees
    hidden = world.agents.hidden
    refused: list[weakref.ref[View]] = []

    def small_machine(token_ids: Tensor, positions: Tensor, view: View) -> Tensor:
        assert not any(held() for held in refused)  # what a try had allocated is free before the next
        if len(token_ids) > 3:
            refused.append(weakref.ref(view))
            raise torch.OutOfMemoryError
        return hidden(token_ids, positions, view)

    monkeypatch.setattr(world.agents, "hidden", small_machine)
    halved = world.rollouts().play(problems, NodeAlternatives()).trees
    assert refused and [moves(tree) for tree in halved] == [moves(tree) for tree in together]


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_equals_transformers_generate(
    family: str, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world(family)
    end_id = world.prompts.end_ids[0]  # `generate` can't merge several end tokens into one symbol
    head = replace(world.head, end_ids=(end_id,))
    engine = NativeEngine(world.agents, head, world.draws, Sampling(temperature=0), token_budget=65_536)
    requests = [
        WriteRequest(ANSWER, p.id, "", 0, world.prompts.context(ANSWER, p, ()).prefix, max_tokens=24)
        for p in problems
    ]
    world.plain.model.set_adapter(ANSWER)
    for request, written in zip(requests, engine.write(requests), strict=True):
        generated = world.plain.model.generate(
            torch.tensor([request.prefix], device=world.agents.device),
            max_new_tokens=24,
            do_sample=False,
            begin_suppress_tokens=[end_id],
            eos_token_id=end_id,
        )[0, len(request.prefix) :]
        assert list(written.token_ids) == generated.tolist()


@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_logits_that_are_no_numbers_are_refused_by_agent_and_problem(
    temperature: float, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    engine = NativeEngine(world.agents, world.head, world.draws, Sampling(temperature), token_budget=65_536)
    played = [world.prompts.context(ANSWER, p, ()).prefix for p in problems]
    with torch.no_grad():
        for agent in world.agents.names:
            world.agents.parameters_of(agent)[-1].fill_(torch.nan)
    writes = [WriteRequest(ANSWER, p.id, "", 0, seen, 4) for p, seen in zip(problems, played, strict=True)]
    with pytest.raises(UserError, match=r"agent 'answer' computes logits that are not finite on problem p\d"):
        engine.write(writes)
    with pytest.raises(UserError, match=r"agent 'stop' computes logits that are not finite on problem p0"):
        engine.choose([ChooseRequest(STOP, "p0", "", 1, played[0], (8,), (7, 8))])


def test_looking_seldom_at_who_is_over_changes_nothing(
    make_world: Callable[..., World], problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the loop asks only every few steps; here it is made to."""
    world = make_world()
    often = world.rollouts().play(problems, NodeAlternatives()).trees
    looks = Writing._looks
    monkeypatch.setattr(
        Writing, "_looks", lambda self, step: step % 3 == 2 or (step == 4 and looks(self, step))
    )
    seldom = world.rollouts().play(problems, NodeAlternatives()).trees
    assert [moves(tree) for tree in seldom] == [moves(tree) for tree in often]


@pytest.mark.parametrize("family", ["llama", pytest.param("gemma3_text", marks=pytest.mark.long)])
def test_compiled_equals_eager(
    family: str,
    make_world: Callable[..., World],
    problems: list[Problem],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is traced for a GPU; the graphs run without a code generator here.

    A sliding window needs a second one, a batch of one row further ones; nothing else makes one anew.
    """
    world = make_world(family)
    eager = world.rollouts().play(problems, NodeAlternatives()).trees
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    world.agents.compile_decoding()
    compiled = world.rollouts().play(problems, NodeAlternatives()).trees
    assert [moves(tree) for tree in compiled] == [moves(tree) for tree in eager]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 4
    assert not torch._dynamo.utils.counters["graph_break"]
