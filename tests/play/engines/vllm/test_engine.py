"""Moves by servers in whole runs, and what the engine refuses; `test_conformance` has the checks of engines.

Also tests `play.engines.vllm.opened`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.engines.protocol import ChooseRequest, WriteRequest
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.vllm.engine import VLLMEngine
from flowdpo_pl.play.engines.vllm.params import Asks
from flowdpo_pl.play.engines.vllm.server import Generated, Server
from flowdpo_pl.play.engines.vllm.settings import VLLM
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from tests.conftest import World
from tests.fake_vllm import FakeVLLM, PeftLogits, serving
from tests.runs import MODEL, Recorder, data, module, trainer, weights

REQUEST = WriteRequest(ANSWER, "p", "", 0, (7, 8, 9), 4, alternative=True)


@pytest.fixture(scope="module")
def logits() -> PeftLogits:
    return PeftLogits(MODEL)


def test_a_run_learns_from_what_servers_play(logits: PeftLogits, tmp_path: Path) -> None:
    fake, recorder = FakeVLLM(logits), Recorder()
    with serving(fake) as url:
        run: FlowDPOModule = module(engine=VLLM([url]), max_problems=8)
        before = weights(run)
        trainer(tmp_path, recorder).fit(run, data(batch_size=4, chunk_size=4))
    assert len(recorder.values) == 2
    assert any(not torch.equal(value, before[name]) for name, value in weights(run).items())
    loaded = [body["lora_name"] for path, body in fake.asked if path == "/v1/load_lora_adapter"]
    assert len({name for name in loaded if name.startswith((ANSWER, STOP))}) > 2
    assert not fake.adapters  # all are taken down with the run


def test_a_run_without_servers_ends_between_batches(
    logits: PeftLogits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is learnt by then can be saved: the batch that was given up has changed nothing."""
    fake, recorder = FakeVLLM(logits), Recorder()
    push = Server.load

    def fails_later(self: Server, name: str, folder: Path) -> None:
        push(self, name, folder)
        fake.failing = bool(recorder.values)

    monkeypatch.setattr(Server, "load", fails_later)
    with serving(fake) as url:
        run: FlowDPOModule = module(engine=VLLM([url]), max_problems=8)
        with pytest.raises(UserError, match="no vLLM server"):
            trainer(tmp_path, recorder).fit(run, data(batch_size=4, chunk_size=4))
    assert run.at_boundary and run.problems_seen == 4


def test_top_p_below_1_plays_but_has_no_alternatives(
    world: World, fake: FakeVLLM, engine: Callable[..., VLLMEngine]
) -> None:
    playing = engine(fake)
    single = type(playing)(playing.session, type(playing.asks)(Sampling(top_p=0.8), (2,)), world.draws)
    assert single.write([WriteRequest(ANSWER, "p", "", 0, (7, 8, 9), 4)])
    with pytest.raises(UserError, match=r"model\.sampling\.top_p is 0\.8"):
        single.write([REQUEST])


def test_a_server_that_draws_what_is_forbidden_is_named(
    fake: FakeVLLM, engine: Callable[..., VLLMEngine]
) -> None:
    """One that ignores a bias would make alternatives that are none."""
    playing = engine(fake)
    playing.write([REQUEST])
    answer = fake.answer

    def deaf(path: str, body: dict[str, object]) -> tuple[int, object]:
        params = body.get("sampling_params")
        if isinstance(params, dict) and "logit_bias" in params:
            (taken,) = params.pop("logit_bias")
            params["logit_bias"] = {taken: 1000.0}
        return answer(path, body)

    fake.answer = deaf  # type: ignore[method-assign]
    with pytest.raises(UserError, match="which is forbidden there"):
        playing.write(
            [WriteRequest(ANSWER, f"p{n}", "", 0, (7, 8, 9), 4, alternative=True) for n in range(4)]
        )


def test_words_whose_log_probability_is_left_out_are_an_error(
    fake: FakeVLLM, engine: Callable[..., VLLMEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    playing = engine(fake)
    monkeypatch.setattr("tests.fake_vllm.Sampler._told", _own_alone)
    with pytest.raises(UserError, match="leaves out the log-probability of token"):
        playing.choose([ChooseRequest(STOP, "p", "", 1, (7, 8), (9,), (7, 8))])


def _own_alone(self: object, token: int, logprobs: object) -> dict[str, object]:
    value = float(logprobs[token])  # type: ignore[index]
    return {"token_id": token, "logprob": value, "top_logprobs": [{"token_id": token, "logprob": value}]}


def test_agents_without_an_adapter_play_apart_from_those_with_one(
    make_world: Callable[..., World],
) -> None:
    """On a CPU vLLM gives the base's rows of a batch the last adapter of that batch."""
    world, together = make_world(adapted=[ANSWER]), set()
    fake, playing = FakeVLLM(PeftLogits(world.folder)), []
    answer = fake.answer

    def watched(path: str, body: dict[str, object]) -> tuple[int, object]:
        if not path.endswith("generate"):
            return answer(path, body)
        is_base = body["model"] == "base"
        playing.append(is_base)
        together.add(frozenset(playing))
        try:
            return answer(path, body)
        finally:
            playing.remove(is_base)

    fake.answer = watched  # type: ignore[method-assign]
    fake.seconds = 0.05
    requests = [
        WriteRequest(agent, f"p{n}", "", 0, (7, 8, 9), 2) for n in range(3) for agent in (ANSWER, STOP)
    ]
    with serving(fake) as url:
        opened = VLLM([url]).open(world.agents, world.head, decode_tokens=1)
        engine = opened.engine(world.draws, Sampling())
        with engine.playing():
            assert len(engine.write(requests)) == len(requests)
        opened.close()
    assert together == {frozenset({True}), frozenset({False})}


def test_moves_are_the_same_again_on_the_same_server(
    fake: FakeVLLM, engine: Callable[..., VLLMEngine]
) -> None:
    playing = engine(fake)
    once = playing.write([REQUEST])
    seeds = [body["sampling_params"].get("seed") for _, body in fake.asked if "sampling_params" in body]
    assert all(seed is None or 0 <= seed < 2**63 for seed in seeds)
    assert playing.write([REQUEST]) == once


def test_end_tokens_that_are_likelier_together_end_a_greedy_move(world: World) -> None:
    """Also where another token is likelier than each of them."""
    places = ({7: 0.5, 1: 0.2, 2: 0.2}, {8: 0.4, 1: 0.3, 2: 0.2}, {9: 0.9, 1: 0.0, 2: 0.0})
    told = tuple({token: math.log(p) if p else -math.inf for token, p in one.items()} for one in places)
    answers = [
        Generated((7, 8, 9), (math.log(0.5), math.log(0.4), math.log(0.9)), told),
        Generated((7, 2), (math.log(0.5), math.log(0.6)), (told[0], {2: math.log(0.6), 1: -math.inf})),
        Generated((9,), (math.log(0.9),), told[2:]),
    ]
    session = SimpleNamespace(play=lambda jobs: answers[: len(jobs)])
    playing = VLLMEngine(session, Asks(Sampling(temperature=0), (1, 2)), world.draws)  # type: ignore[arg-type]
    written = playing.write([REQUEST] * 3)
    assert [one.token_ids for one in written] == [(7, 1), (7, 1), (9,)]
    assert all(one.logprob == 0 and one.other is None for one in written)
