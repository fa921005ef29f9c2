"""A scripted server around the tiny model, and engines that play on such servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, WriteRequest, Written
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.vllm.engine import VLLMEngine
from flowdpo_pl.play.engines.vllm.opened import OpenVLLM
from flowdpo_pl.play.engines.vllm.settings import VLLM
from tests.conftest import World
from tests.fake_vllm import FakeVLLM, PeftLogits, serving


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def fake(world: World) -> FakeVLLM:
    return FakeVLLM(PeftLogits(world.folder))


@pytest.fixture
def second(fake: FakeVLLM) -> FakeVLLM:
    """Another server of the same base."""
    return FakeVLLM(fake.logits)


@pytest.fixture
def opened(world: World) -> Iterator[Callable[..., OpenVLLM]]:
    """The world's agents on some servers, all ended with the test."""
    with ExitStack() as stack:

        def on(*fakes: FakeVLLM, timeout: float = 20.0, **options: str) -> OpenVLLM:
            urls = [stack.enter_context(serving(fake)) for fake in fakes]
            one = VLLM(urls, timeout=timeout, **options).open(world.agents, world.head, decode_tokens=1)
            stack.callback(one.close)
            assert isinstance(one, OpenVLLM)
            return one

        yield on


class Batches(VLLMEngine):
    """Every call is a batch of its own."""

    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        with self.playing():
            return super().write(requests)

    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        with self.playing():
            return super().choose(requests)


@pytest.fixture
def engine(opened: Callable[..., OpenVLLM], world: World) -> Callable[..., Batches]:
    def on(*fakes: FakeVLLM, sampling: Sampling = Sampling(), **options: float) -> Batches:
        one = opened(*fakes, **options).engine(world.draws, sampling)
        return Batches(one.session, one.asks, one.draws)

    return on
