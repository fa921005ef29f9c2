"""A base in 4 or 8 bits on a GPU: quantised there, played, learnt on, saved and loaded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback

from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.quantization import Quantization
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from tests.model.test_quantization import (  # noqa: F401
    flow_dpo,
    frozen,
    loaded,
    move,
    read_and_learn,
    reading,
    wide,
)
from tests.runs import Recorder, data, trainer, weights


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_it_plays_learns_and_reloads_to_the_same(
    quantization: Quantization,
    wide: Callable[[str], Path],  # noqa: F811
    accelerator: str,
    device: torch.device,
    tmp_path: Path,
) -> None:
    run, recorder = flow_dpo(wide("llama"), quantization), Recorder()
    where: set[torch.device] = set()
    look = LambdaCallback(on_train_end=lambda *_: where.update(tensor.device for tensor in frozen(run)))
    fitting = trainer(tmp_path, recorder, look, accelerator=accelerator)
    fitting.fit(run, data())
    assert where == {device}
    for agent in (ANSWER, STOP):
        assert any(values[f"{agent}/pairs"] for values in recorder.values)
        assert all(not values[f"{agent}/updates_set_aside"] for values in recorder.values)
        ups = [w for name, w in weights(run).items() if f".lora_B.{agent}." in name]
        assert ups and all(w.any() and w.isfinite().all() for w in ups)  # they start at zero
    path = tmp_path / "run.ckpt"
    fitting.save_checkpoint(path)
    again = flow_dpo(wide("llama"), quantization, max_problems=24)
    trainer(tmp_path / "again", accelerator=accelerator).validate(again, data(), ckpt_path=path)
    for old, new in zip(frozen(run), frozen(again), strict=True):
        assert torch.equal(old, new.to(old.device))
    for agent in (ANSWER, STOP):
        hidden = []
        for agents in (run.players.agents.to(device), again.players.agents.to(device)):
            with agents.decoding_as(agent):
                hidden.append(agents.hidden(**reading(device)))
        torch.testing.assert_close(*hidden)


def test_reading_and_gradients_are_those_of_the_dequantised_weights(
    wide: Callable[[str], Path],  # noqa: F811
    device: torch.device,
) -> None:
    with device:
        quantised = loaded(wide("llama"), "nf4")
        model, _ = BaseModel(str(wide("llama")), dtype="float32", quantization="nf4").load()
        plain = Agents(model.dequantize(), (ANSWER, STOP), LoraSettings(r=4, alpha=8, dropout=0.0))
        move(plain)
    assert quantised.device == device
    decoded, gradients = read_and_learn(quantised)
    expected_decoded, expected = read_and_learn(plain)
    torch.testing.assert_close(decoded, expected_decoded, rtol=1e-4, atol=1e-4)
    assert len(gradients) == len(expected) > 0
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=0.0, atol=1e-3 * float(other.abs().max()))


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_weights_that_move_to_the_device_are_read_there(
    quantization: Quantization,
    wide: Callable[[str], Path],  # noqa: F811
    device: torch.device,
) -> None:
    agents = loaded(wide("llama"), quantization)
    with agents.decoding_as(ANSWER):
        before = agents.hidden(**reading())
    agents.to(device)
    with agents.decoding_as(ANSWER):
        after = agents.hidden(**reading(device)).cpu()
    assert float((after - before).norm()) <= 0.05 * float(before.norm())


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_checkpointing_leaves_the_gradients_as_they_are(
    quantization: Quantization,
    wide: Callable[[str], Path],  # noqa: F811
    device: torch.device,
) -> None:
    with device:
        _, gradients = read_and_learn(loaded(wide("llama"), quantization))
        _, recomputed = read_and_learn(loaded(wide("llama"), quantization, checkpointing=True))
    for gradient, other in zip(gradients, recomputed, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))
