"""Whether an engine played what learns; wrong weights are named before anything is learnt from them.

A server that is wrong from the start or at an update is the guard's to find
(`tests/play/engines/vllm/test_guard.py`); these become wrong in between.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.adapter_update import AdapterUpdate
from flowdpo_pl.learn.learner import Learning
from flowdpo_pl.learn.losses import SigmoidLoss
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.learn.rescoring import Rescoring
from flowdpo_pl.play.engines.engine_settings import Tolerance
from flowdpo_pl.play.engines.native import NativeEngine, OpenNative
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import Exploration, NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import Problem, RolloutTree
from tests import wrong_server as wrong
from tests.conftest import CoinJudge, World
from tests.fake_vllm import PeftLogits

FAST = Learning(lr=5e-2, loss=SigmoidLoss(beta=1.0))
"""Two updates that can be seen."""


def played(
    world: World, problems: Sequence[Problem], sampling: Sampling, exploration: Exploration
) -> Sequence[RolloutTree]:
    engine = NativeEngine(world.agents, world.head, world.draws, sampling, 65_536)
    trees = Rollouts(world.prompts, engine, CoinJudge(), world.draws).play(problems, exploration).trees
    assert all(mine(trees).of(agent) for agent in (ANSWER, STOP))
    return trees


@pytest.fixture
def rescoring(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rescoring]:
    """Of an engine that is to be compared."""

    def of(world: World, sampling: Sampling = Sampling(), budget: int = 10_000) -> Rescoring:
        monkeypatch.setattr(OpenNative, "tolerance", Tolerance(1e-3, 0.1, 0.3))
        return Rescoring(world.players, sampling, AdapterUpdate(world.agents, world.draws, budget))

    return of


@pytest.mark.parametrize(
    ("sampling", "exploration"),
    [
        (Sampling(), NodeAlternatives()),
        (Sampling(temperature=0.6), NodeAlternatives()),
        (Sampling(temperature=1.5, top_p=0.8), NodeAlternatives()),
    ],
)
@pytest.mark.parametrize("budget", [1, 10_000])
def test_moves_score_as_they_were_drawn(
    sampling: Sampling,
    exploration: Exploration,
    budget: int,
    make_world: Callable[..., World],
    problems: list[Problem],
    rescoring: Callable[..., Rescoring],
) -> None:
    """All tokens of all moves: first ones, ends, the starts of alternatives, words."""
    world = make_world()
    trees = played(world, problems, sampling, exploration)
    assert all(math.isfinite(move.logprob) for pair in mine(trees).pairs for move in pair.moves)
    gaps = rescoring(world, sampling, budget).gaps(trees)
    assert gaps == pytest.approx({ANSWER: 0.0, STOP: 0.0}, abs=1e-5)


def test_the_trainer_s_own_engine_is_not_compared(make_world: Callable[..., World]) -> None:
    world = make_world()
    own = Rescoring(world.players, Sampling(), AdapterUpdate(world.agents, world.draws, 100))
    assert own.gaps(()) == {}


def test_without_pairs_nothing_is_said(
    make_world: Callable[..., World], rescoring: Callable[..., Rescoring]
) -> None:
    assert all(map(math.isnan, rescoring(make_world()).gaps(()).values()))


def test_a_gap_is_warned_of_or_ends_the_run(
    make_world: Callable[..., World],
    problems: list[Problem],
    rescoring: Callable[..., Rescoring],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = make_world()
    trees = played(world, problems, Sampling(), NodeAlternatives())
    with torch.no_grad():
        for parameter in world.agents.parameters_of(ANSWER):
            parameter += 0.1 * torch.randn(parameter.shape)
    compared = rescoring(world)
    monkeypatch.setattr(OpenNative, "tolerance", Tolerance(1e-3, 1e-2, 1e-2))
    with pytest.raises(UserError, match=rf"agent '{ANSWER}' differ from .*gap_stops is 0\.01"):
        compared.gaps(trees)
    monkeypatch.setattr(OpenNative, "tolerance", Tolerance(1e-3, 1e-2, 100.0))
    with caplog.at_level(logging.WARNING, logger="flowdpo_pl"):
        assert compared.gaps(trees)[ANSWER] > 1e-2
    assert "gap_warns is 0.01" in caplog.text


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (wrong.the_base, f"agent '{ANSWER}' differ .*from those of the base without an adapter"),
        (wrong.the_other_agent, f"agent '{STOP}' differ .*from those of agent '{ANSWER}'"),
        (wrong.other_weights, f"agent '{ANSWER}' differ .*nothing is learnt"),
    ],
)
def test_a_server_that_is_wrong_but_to_the_guard_is_named_and_nothing_is_learnt(
    kind: Callable[..., tuple[PeftLogits, Path | None]], told: str, tmp_path: Path
) -> None:
    """From the third batch on, where the guard's own requests get the right weights, as of two engines behind
    one address."""
    ended = wrong.run_that_goes_wrong(kind, tmp_path, canaries_too=False, **wrong.toy())
    assert re.search(told, ended.told), ended.told
    assert ended.problems == 8 and len(ended.values) == 2 and ended.learnt_nothing
    assert all(ended.values[0][f"{agent}/engine_gap"] < 1e-3 for agent in (ANSWER, STOP))
