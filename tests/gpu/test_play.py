"""Play on a GPU is that of a CPU: by the same oracles, in any batch shape, compiled or not, short of room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from flowdpo_pl.play.engines.agreement import require_weights_agree
from flowdpo_pl.play.engines.native import NativeEngine
from flowdpo_pl.play.engines.protocol import WriteRequest
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import Problem
from tests.conftest import CoinJudge, World
from tests.gpu.nearness import as_near, in_bf16
from tests.models import FAMILIES
from tests.oracles import replayed_logprob
from tests.play.engines.test_native import (  # noqa: F401
    moves,
    test_batched_equals_one_by_one,
    test_cached_equals_uncached,
    test_compiled_equals_eager,
    test_greedy_equals_transformers_generate,
    test_logits_that_are_no_numbers_are_refused_by_agent_and_problem,
    test_out_of_memory_halves_a_wave_and_changes_no_draw,
)


def greedy(world: World, token_budget: int = 65_536) -> Rollouts:
    engine = NativeEngine(world.agents, world.head, world.draws, Sampling(temperature=0), token_budget)
    return Rollouts(world.prompts, engine, CoinJudge(), world.draws)


def test_moves_are_those_of_a_cpu(make_world: Callable[..., World], problems: list[Problem]) -> None:
    world = make_world()
    here = world.rollouts().play(problems, NodeAlternatives()).trees
    world.agents.to("cpu")
    again = replace(world)  # the head's weights are the base's, wherever they are
    again.head = world.agents.head(world.prompts.end_ids)
    there = again.rollouts().play(problems, NodeAlternatives()).trees
    assert [moves(tree) for tree in here] == [moves(tree) for tree in there]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_reading_agrees_with_transformers_eager_attention(
    family: str, dtype: str, make_world: Callable[..., World]
) -> None:
    require_weights_agree(make_world(family, dtype=dtype).agents)


@pytest.mark.parametrize("family", FAMILIES)
def test_bf16_play_is_as_near_to_float32_as_transformers_own(
    family: str, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world(family, dtype="bfloat16")
    own = in_bf16(world)
    played, exact, theirs = [], [], []
    with torch.no_grad():
        for tree in world.rollouts().play(problems).trees:
            for index, move in enumerate(tree.main.moves):
                played.append(move.logprob)
                exact.append(replayed_logprob(tree, tree.main.moves, index, world.prompts, world.plain))
                theirs.append(replayed_logprob(tree, tree.main.moves, index, world.prompts, own))
    assert len(played) > 10
    assert as_near(torch.tensor(played), torch.stack(theirs).cpu(), torch.stack(exact).cpu())


def test_greedy_moves_are_the_same_of_any_batch_shape(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    together = greedy(world).play(problems).trees
    alone = [greedy(world, token_budget=1).play([problem]).trees[0] for problem in problems]
    assert [moves(tree) for tree in together] == [moves(tree) for tree in alone]


def test_compiled_greedy_moves_are_the_same_from_few_graphs(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    """With the code generator that a run has; one row alone is a further graph."""
    world = make_world()
    eager = greedy(world).play(problems).trees
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    world.agents.compile_decoding()
    compiled = greedy(world).play(problems).trees
    assert [moves(tree) for tree in compiled] == [moves(tree) for tree in eager]
    assert 1 <= torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 4
    assert not torch._dynamo.utils.counters["graph_break"]


def test_memory_that_runs_out_halves_a_batch_and_changes_no_move(
    make_world: Callable[..., World], device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device.type != "cuda":
        pytest.skip("only a GPU's memory can be bounded")
    world = make_world()
    engine = NativeEngine(world.agents, world.head, world.draws, Sampling(temperature=0), 10**9)
    requests = [
        WriteRequest(ANSWER, f"p{row}", "", 0, tuple(20 + (row * 7 + k) % 40 for k in range(400)), 4)
        for row in range(512)
    ]
    batches: list[int] = []
    write = engine._write
    monkeypatch.setattr(
        engine, "_write", lambda agent, r, rows: batches.append(len(r)) or write(agent, r, rows)
    )
    torch.cuda.reset_peak_memory_stats(device)
    whole = engine.write(requests)
    engine.reset()
    assert batches == [512]
    room = 0.6 * torch.cuda.max_memory_allocated(device)
    torch.cuda.empty_cache()
    try:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(room / total, device)
        halved = engine.write(requests)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert batches[1] == 512 and 1 < len(batches[1:]) < 20
    assert [one.token_ids for one in halved] == [one.token_ids for one in whole]
