"""Versions of adapters on servers: new names, folders that stay as long as they may be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.protocol import WriteRequest
from flowdpo_pl.play.engines.vllm.engine import VLLMEngine
from flowdpo_pl.play.engines.vllm.opened import OpenVLLM
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from tests.conftest import World
from tests.fake_vllm import FakeVLLM

REQUEST = WriteRequest(ANSWER, "p", "", 0, (7, 8, 9), 4)


def update(world: World, agent: str = ANSWER) -> None:
    with torch.no_grad():
        for parameter in world.agents.parameters_of(agent):
            parameter += 0.1


def numbers(fake: FakeVLLM) -> dict[str, str]:
    return {name.split("-")[0]: name.split("-")[1] for name in fake.adapters}


def test_what_has_changed_gets_a_new_name_on_every_server_and_the_old_one_goes(
    fake: FakeVLLM, second: FakeVLLM, engine: Callable[..., VLLMEngine], world: World
) -> None:
    playing = engine(fake, second)
    playing.write([REQUEST])
    assert numbers(fake) == {ANSWER: "000001", STOP: "000002"}
    old = dict(fake.adapters)
    playing.write([REQUEST])
    assert fake.adapters == old  # nothing was learnt
    update(world)
    playing.write([REQUEST])
    assert numbers(fake) == {ANSWER: "000003", STOP: "000002"} and fake.adapters == second.adapters
    assert [folder.exists() for folder in old.values()] == [False, True]
    loads = [body for path, body in fake.asked if path == "/v1/load_lora_adapter"]
    assert len({body["lora_name"] for body in loads}) == len(loads)
    assert all(body.keys() == {"lora_name", "lora_path"} for body in loads)  # none in place of another
    assert all(Path(body["lora_path"]).is_absolute() for body in loads)


def test_moves_are_those_of_the_updated_adapter(
    fake: FakeVLLM, engine: Callable[..., VLLMEngine], world: World
) -> None:
    playing = engine(fake)
    playing.write([REQUEST])
    update(world)
    playing.write([REQUEST])
    models = {body["model"] for path, body in fake.asked if path.endswith("generate")}
    fresh = engine(FakeVLLM(fake.logits)).write([REQUEST])
    assert playing.write([REQUEST]) == fresh and any("000003" in model for model in models)


def test_the_folder_of_a_version_stays_if_a_lost_server_may_still_read_it(
    fake: FakeVLLM, second: FakeVLLM, engine: Callable[..., VLLMEngine], world: World
) -> None:
    playing = engine(fake, second)
    playing.write([REQUEST])
    old = next(folder for name, folder in fake.adapters.items() if name.startswith(ANSWER))
    fake.failing = second.failing = True
    with pytest.raises(UserError):
        playing.write([REQUEST])
    fake.failing = second.failing = False
    update(world)
    playing.write([REQUEST])
    assert old.exists() and fake.ended_by is None
    playing.session.close()
    assert not old.exists() and not fake.adapters


def test_two_runs_share_a_server(fake: FakeVLLM, opened: Callable[..., OpenVLLM], world: World) -> None:
    one = opened(fake)
    again = OpenVLLM(
        type(one.session)(world.agents, world.head, one.session._servers, None), one.end_ids, 0.1, 0.3
    )
    for each in (one, again):
        each.session._linked().versions.push()
    assert len(fake.adapters) == 4
    again.close()
    assert len(fake.adapters) == 2


def test_a_session_that_was_closed_is_opened_anew(fake: FakeVLLM, engine: Callable[..., VLLMEngine]) -> None:
    playing = engine(fake)
    first = playing.write([REQUEST])
    playing.session.close()
    assert not fake.adapters
    assert playing.write([REQUEST]) == first


def test_adapters_lie_where_the_servers_see_them(
    fake: FakeVLLM, opened: Callable[..., OpenVLLM], world: World, tmp_path: Path
) -> None:
    session = opened(fake, folder=str(tmp_path)).session
    session._linked().versions.push()
    assert all(tmp_path in folder.parents for folder in fake.adapters.values())
    with pytest.raises(UserError, match=r"model\.team\.engine\.folder"):
        _ = opened(fake, folder=str(tmp_path / "missing")).session.context_limit


def test_too_few_slots_are_told(fake: FakeVLLM, engine: Callable[..., VLLMEngine]) -> None:
    fake.slots = 2
    fake.adapters |= {"another run's": Path()}
    with pytest.raises(UserError, match="No free lora slots"):
        engine(fake).write([REQUEST])
