"""A server that plays something else than the trainer would is named, and nothing is learnt from it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.protocol import WriteRequest
from flowdpo_pl.play.engines.vllm.engine import VLLMEngine
from flowdpo_pl.play.engines.vllm.guard import Guard
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from tests import wrong_server as wrong
from tests.conftest import World
from tests.fake_vllm import FakeVLLM, Floats, PeftLogits
from tests.models import write_model

REQUEST = WriteRequest(ANSWER, "p", "", 0, (7, 8, 9), 4)


class Muddled(FakeVLLM):
    """Which adapter a name gets is a function of the name."""

    instead: Callable[[FakeVLLM, str], str | None]

    def _generate(self, body: dict[str, object]) -> tuple[int, object]:
        name = str(body["model"])
        other = type(self).instead(self, name)
        self.serves = {name: self.adapters[other] if other else None} if name != "base" else {}
        return super()._generate(body)


def muddled(fake: FakeVLLM, instead: Callable[[FakeVLLM, str], str | None]) -> FakeVLLM:
    kind = type("Instead", (Muddled,), {"instead": staticmethod(instead)})
    made: FakeVLLM = kind(fake.logits)
    return made


def the_base(fake: FakeVLLM, name: str) -> None:
    return None


def the_first(fake: FakeVLLM, name: str) -> str:
    return next(iter(fake.adapters))


def the_last(fake: FakeVLLM, name: str) -> str:
    return list(fake.adapters)[-1]


@pytest.mark.parametrize(
    ("instead", "told"),
    [(the_base, "plays base when"), (the_first, "plays canary1"), (the_last, "plays canary2")],
)
def test_a_server_that_muddles_adapters_is_found_at_the_start_even_if_the_agents_are_one_function(
    instead: Callable[[FakeVLLM, str], str | None],
    told: str,
    fake: FakeVLLM,
    engine: Callable[..., VLLMEngine],
    world: World,
) -> None:
    with torch.no_grad():
        for agent in world.agents.names:
            for up in world.agents.parameters_of(agent)[1::2]:
                up.zero_()
    with pytest.raises(UserError, match=told):
        engine(muddled(fake, instead)).write([REQUEST])


def test_another_base_of_the_same_shape_is_found(engine: Callable[..., VLLMEngine], tmp_path: Path) -> None:
    other = FakeVLLM(PeftLogits(write_model(tmp_path / "other", seed=5)))
    with pytest.raises(UserError, match=r"plays another model than the trainer's.*model\.team\.base\.path"):
        engine(other).write([REQUEST])


def test_log_probabilities_before_temperature_are_found(
    fake: FakeVLLM, engine: Callable[..., VLLMEngine]
) -> None:
    fake.raw = True
    with pytest.raises(UserError, match="--logprobs-mode processed_logprobs"):
        engine(fake).write([REQUEST])


def test_a_server_whose_logits_are_bent_is_found(engine: Callable[..., VLLMEngine], fake: FakeVLLM) -> None:
    def bent(folder: Path | None, token_ids: Sequence[int]) -> Floats:
        return fake.logits(folder, token_ids) * 1.3

    with pytest.raises(UserError, match="plays another model"):
        engine(FakeVLLM(bent)).write([REQUEST])


@pytest.mark.parametrize("other", [ANSWER, STOP])
def test_weights_that_are_swapped_later_under_the_right_names_are_found(
    other: str, fake: FakeVLLM, engine: Callable[..., VLLMEngine], world: World
) -> None:
    """The version before, or another agent's."""
    playing = engine(fake)
    playing.write([REQUEST])
    kept = next(folder for name, folder in fake.adapters.items() if name.startswith(other))
    fake.logits(kept, (7, 8))
    served = fake.logits
    fake.logits = lambda folder, ids: served(folder if folder is None else kept, ids)
    with torch.no_grad():
        for parameter in world.agents.parameters_of(ANSWER):
            parameter += 0.1
    with pytest.raises(UserError, match=f"plays other weights under the name {ANSWER}-0"):
        playing.write([REQUEST])


def test_a_step_too_small_to_be_seen_is_said_to_be(
    fake: FakeVLLM, engine: Callable[..., VLLMEngine], world: World, caplog: pytest.LogCaptureFixture
) -> None:
    playing = engine(fake)
    playing.write([REQUEST])
    with torch.no_grad():
        world.agents.parameters_of(ANSWER)[0].add_(1e-7)
    with caplog.at_level(logging.INFO, logger="flowdpo_pl"):
        playing.write([REQUEST])
    assert "indistinguishable" in caplog.text


def test_the_guard_changes_no_weight_and_no_mode(world: World) -> None:
    before = [p.detach().clone() for p in world.agents.parameters_of(ANSWER)]
    guard = Guard(world.agents, world.head)
    with world.agents.lent(ANSWER, guard.strong(1)):
        assert all(map(torch.equal, world.agents.parameters_of(ANSWER), guard.strong(1)))
    assert all(map(torch.equal, world.agents.parameters_of(ANSWER), before))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (wrong.swapped, f"under the name {ANSWER}-.* those of agent '{STOP}',"),
        (wrong.other_weights, rf"under the name {ANSWER}-.* \(.* nats a token\)"),
        (wrong.another_base, rf"under the name {ANSWER}-.* \(.* nats a token\)"),
    ],
)
def test_a_server_that_goes_wrong_between_two_updates_is_named_and_nothing_is_learnt(
    kind: Callable[..., tuple[PeftLogits, Path | None]], told: str, tmp_path: Path
) -> None:
    """In the middle of a run. `python -m benchmarks.served wrong` does the same after 512 problems."""
    ended = wrong.run_that_goes_wrong(kind, tmp_path, **wrong.toy())
    assert re.search(f"plays other weights {told}.*nothing is learnt from it", ended.told), ended.told
    assert ended.problems == 8 and ended.learnt_nothing
