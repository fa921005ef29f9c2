"""A run of supervised fine-tuning in one small file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.screen.products import after_fit, print_products
from callbacks.screen.table import print_rows
from callbacks.summary.summary_file import ending, training_facts, unknown_as_null, write_summary
from callbacks.watching.run_files import keeps_files, run_folder, still_telling
from callbacks.watching.watched_modules import CountedData, taught
from flowdpo_pl.made_with import MadeWith

PRODUCTS = ("adapter", "summary.json", "metrics.csv", "checkpoints/last.ckpt")
_SUMMED = ("tokens", "completion_tokens", "seconds", "updates_set_aside")


class SFTSummary(MadeWith, Callback):
    """Writes `summary.json` to the run folder when the run ends, also by an exception, and prints it briefly.

    Keys: `verb`, `ended` (`finished` or the exception's name), `ended_by` (`max_epochs`,
    `max_steps`, `max_time` or the exception's name), `updates`, `epochs`, `data` (traces used and
    left out, by `train` and `validation`), `loss` (of the last epoch, in nats a completion token),
    `validation_loss`, `tokens`, `completion_tokens`, `seconds` (of the updates), `tokens_per_second`,
    `updates_set_aside`, `peak_memory_bytes`, `seed`, `versions`, `identity`. Unknown numbers are null. Sums
    go over the whole run, across resumes.
    """

    def __init__(self) -> None:
        self._sums = dict.fromkeys(_SUMMED, 0.0)
        self._epoch = {"loss": 0.0, "tokens": 0.0}
        self._peak_memory_bytes = 0.0
        self._keeps = self._started = False

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self._sums, "epoch": self._epoch, "peak_memory_bytes": self._peak_memory_bytes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sums = dict(state_dict["sums"])
        self._epoch = dict(state_dict["epoch"])
        self._peak_memory_bytes = state_dict["peak_memory_bytes"]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._module = taught(self, pl_module)
        self._folder = run_folder(trainer)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._keeps = trainer.is_global_zero and keeps_files(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._epoch = {"loss": 0.0, "tokens": 0.0}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not outputs:  # its traces wait for the next optimizer step
            return
        for name in _SUMMED:
            self._sums[name] += outputs[name]
        if not outputs["updates_set_aside"]:
            self._epoch["loss"] += outputs["train/loss"] * outputs["completion_tokens"]
            self._epoch["tokens"] += outputs["completion_tokens"]
        self._peak_memory_bytes = max(self._peak_memory_bytes, outputs["peak_memory_bytes"])

    # on_fit_end rather than on_train_end: by then the last checkpoint is written.
    # A finished run that is resumed has no step left, and may lack its summary still.
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._started:
            with still_telling(exception):
                self._write(trainer, exception)

    def _write(self, trainer: Trainer, stopped_by: BaseException | None) -> None:
        if not self._keeps:
            return
        self._keeps = False  # an exception in here must not call it again
        summary = self.summary(trainer, stopped_by)
        write_summary(self._folder, summary)
        known = unknown_as_null(summary)
        print_rows(f"fit: {summary['ended']}", {"ended by": summary["ended_by"], **sft_rows(known)})
        print_products(self._folder, PRODUCTS, after_fit(self._folder, stopped_by))

    def summary(self, trainer: Trainer, stopped_by: BaseException | None) -> dict[str, Any]:
        """What `summary.json` holds, with NaN for what is unknown."""
        data: object = getattr(trainer, "datamodule", None)
        return {
            "verb": "fit",
            **ending(self._module.ended_by, stopped_by),
            "updates": trainer.global_step,
            "epochs": trainer.current_epoch,
            "data": {name: dict(counts) for name, counts in data.counts.items()}
            if isinstance(data, CountedData)
            else None,
            "loss": self._epoch["loss"] / self._epoch["tokens"] if self._epoch["tokens"] else None,
            "validation_loss": float(trainer.callback_metrics.get("validation/loss", math.nan)),
            **{name: self._sums[name] for name in _SUMMED},
            "tokens_per_second": self._sums["tokens"] / max(self._sums["seconds"], 1e-9),
            **training_facts(self._module, self._peak_memory_bytes),
        }


def sft_rows(summary: Mapping[str, Any]) -> dict[str, str]:
    """The numbers that one looks at first, for a table."""
    rows = {"optimizer steps": f"{summary['updates']:,} in {summary['epochs']} epochs"}
    for name, counts in (summary["data"] or {}).items():
        told = ", ".join(f"{number:,} {why}" for why, number in counts.items() if number)
        rows["traces" if name == "train" else f"traces, {name}"] = told
    for name, key in (("loss, last epoch", "loss"), ("loss, validation", "validation_loss")):
        if summary[key] is not None:
            rows[name] = f"{summary[key]:.3f} nats a token"
    if summary["updates_set_aside"]:
        rows["steps set aside"] = f"{summary['updates_set_aside']:,.0f}"
    rows["tokens"] = f"{summary['tokens']:,.0f}, {summary['tokens_per_second']:,.0f} a second"
    return {name: text for name, text in rows.items() if text}
