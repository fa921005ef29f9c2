"""One server's answers: what is lost, what is refused, and in which words."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.vllm.params import Asks
from flowdpo_pl.play.engines.vllm.server import Facts, Server, ServerLost
from tests.fake_vllm import FakeVLLM, Floats, serving

MOVE = Asks(Sampling(), (1,)).move(4, fresh=True, seed=0)


def flat(folder: Path | None, token_ids: object) -> Floats:
    return np.zeros(5)


@pytest.fixture
def plain() -> FakeVLLM:
    return FakeVLLM(flat, context_limit=20)


@pytest.fixture
def server(plain: FakeVLLM) -> Iterator[Server]:
    with serving(plain) as url:
        one = Server(url + "/", timeout=2.0)
        yield one
        one.close()


def test_it_says_what_its_base_is_called_and_takes(server: Server) -> None:
    assert server.facts() == Facts("base", 20)


def test_token_ids_go_in_and_come_out_with_log_probabilities(server: Server) -> None:
    written = server.generate("base", (3, 4), MOVE)
    assert 1 <= len(written.token_ids) <= 4 and written.token_ids[0] != 1
    assert written.logprobs[0] == pytest.approx(-np.log(4)) == written.told[0][written.token_ids[0]]
    assert written.logprobs[1:] == pytest.approx([-np.log(5)] * (len(written.token_ids) - 1))


def test_minus_infinity_is_written_as_a_number(server: Server, plain: FakeVLLM) -> None:
    plain.logits = lambda folder, token_ids: np.array([0.0, 0.0, -np.inf, 0.0, 0.0])
    scores = server.generate("base", (3,), Asks(Sampling(), (1,)).scores((2, 3))).told[0]
    assert scores[2] == -np.inf and scores[3] == pytest.approx(-np.log(4))


@pytest.mark.parametrize(
    ("fault", "told"),
    [("dead", "can't be reached"), ("silent", "gave no answer in 2 s"), ("failing", "fails with 500")],
)
def test_a_server_that_does_not_answer_is_lost(
    server: Server, plain: FakeVLLM, fault: str, told: str
) -> None:
    setattr(plain, fault, True)
    with pytest.raises(ServerLost, match=f"127.0.0.1:.* {told}"):
        server.generate("base", (3,), MOVE)


def test_a_connection_that_was_closed_meanwhile_loses_nothing(server: Server, plain: FakeVLLM) -> None:
    plain.closes = True
    assert len({len(server.generate("base", (3,), MOVE).token_ids) for _ in range(4)}) == 1


@pytest.mark.parametrize("ended", ["abort", "error", "repetition"])
def test_an_answer_that_was_broken_off_is_no_move(server: Server, plain: FakeVLLM, ended: str) -> None:
    plain.ends = ended
    with pytest.raises(ServerLost, match=rf"breaks an answer off \({ended}\)"):
        server.generate("base", (3,), MOVE)


def test_nobody_there_is_a_server_lost() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServerLost, match="can't be reached"):
        Server(f"http://127.0.0.1:{port}", timeout=1).facts()


def test_a_server_that_was_started_again_knows_no_adapter_and_is_lost(server: Server) -> None:
    with pytest.raises(ServerLost, match="has lost its adapters"):
        server.generate("answer-000001-x", (3,), MOVE)


def test_another_server_is_no_vllm_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeVLLM, "answer", lambda *_: (200, {"data": []}))
    with pytest.raises(UserError, match="is no vLLM server"):
        server.facts()


@pytest.mark.parametrize("status", [403, 404])
def test_a_server_without_token_ids_is_told_how_to_be_started(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(FakeVLLM, "answer", lambda *_: (status, {"detail": "Not Found"}))
    with pytest.raises(UserError, match="--enable-scale-out"):
        server.generate("base", (3,), MOVE)


def test_what_a_server_refuses_is_told_in_its_words(server: Server) -> None:
    with pytest.raises(UserError, match="refuses a request: The decoder prompt is longer"):
        server.generate("base", (3,) * 20, MOVE)


def test_an_adapter_that_can_t_be_loaded_is_told_with_what_a_server_needs(
    server: Server, plain: FakeVLLM, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"can't load an adapter \(Loading lora a failed.*--enable-lora"):
        server.load("a", tmp_path)
    (tmp_path / "adapter_model.safetensors").touch()
    server.load("a", tmp_path)
    server.load("a", tmp_path)  # as after an answer that was lost on its way
    server.unload("a")
    server.unload("a")
    assert plain.adapters == {}
    plain.slots = 0
    with pytest.raises(UserError, match="No free lora slots"):
        server.load("b", tmp_path)
