"""Progress of supervised fine-tuning in optimizer steps."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.screen.progress_line import ProgressLine
from callbacks.watching.pace import Pace
from callbacks.watching.watched_modules import taught


class SFTProgressBar(ProgressLine):
    """Optimizer steps, time left, steps and tokens a second, loss of the latest step, and the epoch.

    On a terminal or in a notebook a bar; elsewhere (a log file) a plain line every `every_n_steps`.

    Args:
        every_n_steps: Optimizer steps between two lines where no bar can be shown.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        super().__init__(Pace(every_n_steps, "every_n_steps"), "steps")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._module = taught(self, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start("fit", trainer.global_step, self._module.total_updates)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not outputs:  # its traces wait for the next optimizer step
            return
        self.show(
            trainer.global_step,
            self._module.total_updates,
            f"{outputs['tokens_per_second']:,.0f} tokens/s",
            f"loss {outputs['train/loss']:.3f}",
            *self._validated(trainer),
            f"epoch {trainer.current_epoch + 1}",
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.stop()

    def _validated(self, trainer: Trainer) -> list[str]:
        loss = trainer.callback_metrics.get("validation/loss")
        return [] if loss is None else [f"validation {float(loss):.3f}"]
