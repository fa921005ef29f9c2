"""One real run of fine-tuning is in tests/modules/test_sft_module.py; here the numbers of scripted steps."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

from callbacks import SFTSummary
from callbacks.summary.summary_file import unknown_as_null
from tests.callbacks.playing import Stopped
from tests.runs import trainer

STEPS: list[dict[str, float] | None] = [
    None,  # waits for the next optimizer step
    {"train/loss": 2.0, "completion_tokens": 10.0, "tokens": 30.0, "seconds": 0.5, "updates_set_aside": 0.0},
    {"train/loss": 1.0, "completion_tokens": 30.0, "tokens": 50.0, "seconds": 0.5, "updates_set_aside": 0.0},
    {
        "train/loss": math.nan,
        "completion_tokens": 5.0,
        "tokens": 9.0,
        "seconds": 1.0,
        "updates_set_aside": 1.0,
    },
]


class Taught(LightningModule):
    """Returns the scripted numbers, an epoch after another."""

    ended_by = "max_epochs"

    def __init__(self, epochs: list[list[dict[str, float] | None]], stop_at: int | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.epochs, self.stop_at, self.seed, self.step = epochs, stop_at, 7, 0
        self.at_boundary = False

    agent = "answer"

    @property
    def total_updates(self) -> int:
        return sum(values is not None for epoch in self.epochs for values in epoch)

    def identity(self) -> dict[str, object]:
        return {"base": "none"}

    def save_adapter(self, folder: Path) -> None:
        folder.mkdir()

    def configure_optimizers(self) -> None:
        return None

    def train_dataloader(self) -> DataLoader[int]:
        return DataLoader(range(len(self.epochs[self.current_epoch])))  # type: ignore[arg-type]

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, float] | None:
        if self.step == self.stop_at:
            raise Stopped
        self.step += 1
        values = self.epochs[self.current_epoch][batch_idx]
        return values and {**values, "peak_memory_bytes": 1000.0 - self.step}


def summary(folder: Path, module: Taught) -> dict[str, Any]:
    runner = trainer(folder, SFTSummary())
    runner.fit_loop.max_epochs = len(module.epochs)
    with suppress(Stopped):
        runner.fit(module)
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def test_sums_are_of_the_run_and_the_loss_of_the_last_epoch_a_token(tmp_path: Path) -> None:
    found = summary(tmp_path, Taught([[None, None, None, STEPS[1]], STEPS]))
    assert found["ended"] == "finished" and found["epochs"] == 2
    assert (found["tokens"], found["completion_tokens"], found["seconds"]) == (119.0, 55.0, 2.5)
    assert found["tokens_per_second"] == 119.0 / 2.5
    assert found["loss"] == (2.0 * 10 + 1.0 * 30) / 40, "without the step that was set aside"
    assert found["updates_set_aside"] == 1.0
    assert found["peak_memory_bytes"] == 996, "the most of all, in the first step that learnt"
    assert (found["seed"], found["identity"]) == (7, {"base": "none"})


def test_it_prints_the_numbers_the_files_and_what_follows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    for left in ("config.yaml", "checkpoints/last.ckpt"):
        (tmp_path / left).touch()
    summary(tmp_path, Taught([STEPS]))
    printed = capsys.readouterr().out
    assert "fit: finished" in printed and "1.250 nats a token" in printed and "steps set aside" in printed
    assert f"{tmp_path / 'summary.json'}\n" in printed
    assert f"next: python -m flowdpo_pl test --run {tmp_path} " in printed
    assert printed.splitlines()[-1].startswith(f"or: python -m flowdpo_pl export {tmp_path} ")


def test_what_is_unknown_is_null(tmp_path: Path) -> None:
    found = summary(tmp_path, Taught([STEPS[:1]]))
    assert (found["loss"], found["validation_loss"], found["data"]) == (None, None, None)
    assert found["tokens"] == 0 and found["tokens_per_second"] == 0


def test_a_stopped_run_has_one_too(tmp_path: Path) -> None:
    found = summary(tmp_path, Taught([STEPS], stop_at=2))
    assert (found["ended"], found["tokens"]) == ("Stopped", 30.0)


def test_its_state_holds_what_a_resumed_run_adds_to(tmp_path: Path) -> None:
    runner, whole, part = trainer(tmp_path), SFTSummary(), SFTSummary()
    for callback in (whole, part):
        callback.setup(runner, Taught([STEPS]), "fit")
    outputs = [{**values, "peak_memory_bytes": 5.0} if values else None for values in STEPS]
    for values in outputs:
        whole.on_train_batch_end(runner, Taught([]), values, None, 0)
    for values in outputs[:2]:
        part.on_train_batch_end(runner, Taught([]), values, None, 0)
    resumed = SFTSummary()
    resumed.setup(runner, Taught([STEPS]), "fit")
    resumed.load_state_dict(json.loads(json.dumps(part.state_dict())))
    for values in outputs[2:]:
        resumed.on_train_batch_end(runner, Taught([]), values, None, 0)
    assert unknown_as_null(resumed.summary(runner, None)) == unknown_as_null(whole.summary(runner, None))


def test_data_that_count_what_they_leave_out_are_told(tmp_path: Path) -> None:
    class Counted(LightningDataModule):
        counts: ClassVar = {"train": {"used": 3, "too long": 1}}

    runner, callback, module = trainer(tmp_path), SFTSummary(), Taught([STEPS[:2]])
    callback.setup(runner, module, "fit")
    runner.datamodule = Counted()  # type: ignore[attr-defined]
    assert callback.summary(runner, None)["data"] == Counted.counts
