"""Several servers: balance, and what happens to the requests of one that is lost.

Also tests `play.engines.vllm.session`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.protocol import WriteRequest
from flowdpo_pl.play.engines.vllm.engine import VLLMEngine
from flowdpo_pl.play.flows.answer_stop import ANSWER
from tests.fake_vllm import FakeVLLM

REQUESTS = [WriteRequest(ANSWER, f"p{n}", "", 0, (7, 8, 9 + n), 4, alternative=True) for n in range(12)]
FAULTS = ["dead", "failing", "silent"]


def patience(fault: str) -> float:
    """Seconds that an answer may take: few where none is to come, many for a busy machine else."""
    return 3.0 if fault == "silent" else 20.0


def tokens_asked(fake: FakeVLLM) -> int:
    return sum(path == "/inference/v1/generate" for path, _ in fake.asked)


def test_servers_share_the_work_and_a_problem_stays_where_it_was_read(
    fake: FakeVLLM, second: FakeVLLM, engine: Callable[..., VLLMEngine]
) -> None:
    playing = engine(fake, second)
    playing.write(REQUESTS)
    assert tokens_asked(fake) and tokens_asked(second)
    for one in (fake, second):
        prompts = [
            tuple(body["token_ids"][:3])
            for path, body in one.asked
            if path.endswith("generate")
            and body["model"].startswith(ANSWER)
            and "seed" in body["sampling_params"]
            and body["sampling_params"]["seed"] != 1
        ]
        assert set(prompts) < {request.prefix for request in REQUESTS}
    long = [WriteRequest(ANSWER, "long", "", turn, (7,) * 200, 4) for turn in range(3)]
    places = []
    with playing.playing():
        for request in long:
            before = tokens_asked(fake)
            VLLMEngine.write(playing, [request])
            places.append(tokens_asked(fake) > before)
    assert len(set(places)) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_server_s_requests_are_played_by_another(
    fault: str,
    fake: FakeVLLM,
    second: FakeVLLM,
    engine: Callable[..., VLLMEngine],
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = engine(FakeVLLM(fake.logits)).write(REQUESTS)
    playing = engine(fake, second, timeout=patience(fault))
    playing.write(REQUESTS[:2])
    setattr(fake, fault, True)
    assert playing.write(REQUESTS) == expected
    assert "the others play on" in caplog.text


def test_a_server_is_taken_back_once_it_answers_with_the_adapters_of_today(
    fake: FakeVLLM, second: FakeVLLM, engine: Callable[..., VLLMEngine]
) -> None:
    playing = engine(fake, second)
    fake.failing = True
    playing.write(REQUESTS)
    fake.failing = False
    fake.adapters.clear()  # it was started again
    before = tokens_asked(fake)
    playing.write(REQUESTS)
    assert tokens_asked(fake) > before and fake.adapters.keys() == second.adapters.keys()


def test_a_server_that_comes_back_with_another_base_is_not_taken(
    fake: FakeVLLM,
    second: FakeVLLM,
    engine: Callable[..., VLLMEngine],
    caplog: pytest.LogCaptureFixture,
) -> None:
    playing = engine(fake, second)
    playing.write(REQUESTS[:1])
    fake.failing = True
    playing.write(REQUESTS)
    fake.failing = False
    right = fake.logits
    fake.logits = lambda folder, token_ids: right(folder, token_ids)[::-1]
    playing.write(REQUESTS)
    assert "plays another model than the trainer's" in caplog.text
    assert not [body for path, body in fake.asked[-3:] if body.get("model", "").startswith(ANSWER)]


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_server_the_batch_is_given_up_in_one_sentence(
    fault: str, fake: FakeVLLM, engine: Callable[..., VLLMEngine]
) -> None:
    playing = engine(fake, timeout=patience(fault))
    playing.write(REQUESTS[:1])
    setattr(fake, fault, True)
    with pytest.raises(UserError, match="no vLLM server is left"):
        playing.write(REQUESTS)


def test_a_slow_server_is_waited_for(fake: FakeVLLM, engine: Callable[..., VLLMEngine]) -> None:
    fast = engine(FakeVLLM(fake.logits)).write(REQUESTS)
    fake.seconds = 0.2
    assert engine(fake).write(REQUESTS) == fast


def test_a_prompt_that_would_be_cut_is_refused_before_it_is_sent(
    fake: FakeVLLM, engine: Callable[..., VLLMEngine]
) -> None:
    fake.context_limit = 40
    playing = engine(fake)
    assert playing.session.context_limit == 40
    playing.write([WriteRequest(ANSWER, "fits", "", 0, (7,) * 36, 4)])
    before = tokens_asked(fake)
    with pytest.raises(UserError, match=r"needs 41 tokens on problem long.*takes 40.*--max-model-len"):
        playing.write([WriteRequest(ANSWER, "long", "", 0, (7,) * 37, 4)])
    assert tokens_asked(fake) == before
