"""Every engine does what the protocol asks: ours, and vLLM's against a server that is scripted.

Also tests `play.engines.protocol` and `play.engines.engine_settings`. `make test-vllm` runs the same
checks on a real server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from flowdpo_pl.play.engines.engine_settings import EngineSettings, Native
from flowdpo_pl.play.engines.vllm.settings import VLLM
from tests import engine_checks as checks
from tests.conftest import World
from tests.engine_checks import Stage
from tests.fake_vllm import FakeVLLM, PeftLogits, serving


@pytest.fixture(params=["native", "vllm"])
def stage(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> Iterator[Callable[..., Stage]]:
    """The tiny model on an engine, with as many of its two end tokens as a test wants."""
    world = make_world()
    with serving(FakeVLLM(PeftLogits(world.folder))) as url:
        settings: EngineSettings = Native() if request.param == "native" else VLLM([url])
        with checks.staged(world, settings) as on_stage:
            yield lambda ends=2: on_stage(world.head.end_ids[:ends])


def test_empty_batches(stage: Callable[..., Stage]) -> None:
    checks.check_empty_batches(stage())


@pytest.mark.parametrize("ends", [1, 2])
def test_greedy_moves_in_order(stage: Callable[..., Stage], ends: int) -> None:
    checks.check_greedy_moves_in_order(stage(ends))


def test_ends_limits_and_logprobs(stage: Callable[..., Stage]) -> None:
    checks.check_ends_limits_and_logprobs(stage())


def test_forced_starts(stage: Callable[..., Stage]) -> None:
    checks.check_forced_starts(stage())


@pytest.mark.parametrize(("temperature", "ends"), [(1.0, 2), (0.6, 1)])
def test_law_of_alternatives(stage: Callable[..., Stage], temperature: float, ends: int) -> None:
    checks.check_law_of_alternatives(stage(ends), temperature, draws=500)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.0])
def test_law_of_choices(stage: Callable[..., Stage], temperature: float) -> None:
    checks.check_law_of_choices(stage(ends=1), temperature)


def test_a_draw_is_its_place_s_own(stage: Callable[..., Stage]) -> None:
    checks.check_a_draw_is_its_place_s_own(stage())
