"""Short runs of the quickstart's model through Lightning on a GPU.

Sums on a GPU come in any order, so weights are compared by how far training moved them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.play.team import Budget
from tests.runs import MODEL, Recorder, data, module, trainer, weights


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, accelerator: str) -> tuple[FlowDPOModule, Recorder]:
    """A run of 24 problems that nothing interrupts."""
    return fit(tmp_path_factory.mktemp("whole"), accelerator)


def fit(
    folder: Path,
    accelerator: str,
    options: Mapping[str, Any] | None = None,
    ckpt_path: Path | None = None,
    **training: Any,
) -> tuple[FlowDPOModule, Recorder]:
    recorder, run = Recorder(), module(**(options or {}))
    trainer(folder, recorder, accelerator=accelerator, **training).fit(
        run, data(), ckpt_path=ckpt_path, weights_only=True if ckpt_path else None
    )
    return run, recorder


def flat(run: FlowDPOModule) -> Tensor:
    return torch.cat([value.flatten().cpu() for value in weights(run).values()])


def same_learning(one: FlowDPOModule, other: FlowDPOModule) -> bool:
    start = module()
    moved = flat(one) - flat(start)
    return bool(moved.any()) and float((flat(other) - flat(one)).norm()) <= 0.05 * float(moved.norm())


def test_everything_is_on_the_device_and_both_agents_learn(
    accelerator: str, device: torch.device, tmp_path: Path
) -> None:
    class Where(Recorder):
        """Looks before the run is over: Lightning then takes the module back to the CPU."""

        def on_train_end(self, trainer: Trainer, pl_module: FlowDPOModule) -> None:  # type: ignore[override]
            self.devices = {parameter.device for parameter in pl_module.agents.parameters()}
            self.devices |= {pl_module.device, pl_module.agents.device}

    run, recorder = module(), Where()
    trainer(tmp_path, recorder, accelerator=accelerator).fit(run, data())
    assert recorder.devices == {device}
    before = weights(module())
    for agent in (ANSWER, STOP):
        assert sum(values[f"{agent}/pairs"] for values in recorder.values) > 0
        assert any(
            not torch.equal(value.cpu(), before[name])
            for name, value in weights(run).items()
            if f".{agent}." in name
        )


def test_stopped_and_resumed_equals_uninterrupted(
    whole: tuple[FlowDPOModule, Recorder], accelerator: str, tmp_path: Path
) -> None:
    run, recorder = whole
    part, stopped = module(max_problems=8), trainer(tmp_path, accelerator=accelerator)
    stopped.fit(part, data())
    stopped.save_checkpoint(tmp_path / "part.ckpt")
    saved = torch.load(tmp_path / "part.ckpt", weights_only=True, map_location="cpu")
    assert all(torch.equal(saved["state_dict"][name], v.cpu()) for name, v in weights(part).items())
    resumed, rest = fit(tmp_path, accelerator, ckpt_path=tmp_path / "part.ckpt")
    assert rest.problems == recorder.problems[1:]
    assert same_learning(run, resumed)


def test_batch_shapes_do_not_matter(
    whole: tuple[FlowDPOModule, Recorder], accelerator: str, tmp_path: Path
) -> None:
    small, _ = fit(tmp_path, accelerator, {"budget": Budget(decode_tokens=1, update_tokens=1)})
    assert same_learning(whole[0], small)


def test_activation_checkpointing_changes_nothing(
    whole: tuple[FlowDPOModule, Recorder], accelerator: str, tmp_path: Path
) -> None:
    recomputed, _ = fit(tmp_path, accelerator, {"budget": Budget(activation_checkpointing=True)})
    assert same_learning(whole[0], recomputed)


def test_a_strategy_for_several_devices_learns_the_same_on_one(
    whole: tuple[FlowDPOModule, Recorder], accelerator: str, tmp_path: Path
) -> None:
    strategy = AdapterStrategy(process_group_backend="nccl" if accelerator == "gpu" else "gloo")
    try:
        run, _ = fit(tmp_path, accelerator, strategy=strategy)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert same_learning(whole[0], run)


def test_bf16_learns(accelerator: str, tmp_path: Path) -> None:
    options = {"base": BaseModel(str(MODEL), dtype="bfloat16")}
    run, recorder = fit(tmp_path, accelerator, options)
    assert sum(values[f"{agent}/pairs"] for values in recorder.values for agent in (ANSWER, STOP)) > 0
    assert all(not values[f"{a}/updates_set_aside"] for values in recorder.values for a in (ANSWER, STOP))
    assert {value.dtype for value in weights(run).values()} == {torch.float32}
    assert not torch.equal(flat(run), flat(module()))


def test_peak_memory_holds_the_weights_and_never_falls(whole: tuple[FlowDPOModule, Recorder]) -> None:
    run, recorder = whole
    held = sum(parameter.numel() * parameter.element_size() for parameter in run.agents.parameters())
    peaks = [values["peak_memory_bytes"] for values in recorder.values]
    assert held < peaks[0] and peaks == sorted(peaks)


def test_a_checkpoint_of_the_device_plays_on_a_cpu(
    whole: tuple[FlowDPOModule, Recorder], accelerator: str, tmp_path: Path
) -> None:
    part, fitted = module(max_problems=8), trainer(tmp_path, accelerator=accelerator)
    fitted.fit(part, data())
    fitted.save_checkpoint(tmp_path / "part.ckpt")
    run = module()
    trainer(tmp_path, limit_val_batches=1).validate(run, data(), ckpt_path=tmp_path / "part.ckpt")
    assert all(torch.equal(value, weights(part)[name].cpu()) for name, value in weights(run).items())
