"""Progress of `test` and `predict` in problems."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.problem_bar import ProblemBar
from callbacks.watched_modules import evaluated


class EvaluationProgressBar(ProblemBar):
    """Problems, share of right ones, generated tokens; other verbs are left alone.

    On a terminal a bar; elsewhere (a log file) a plain line every `every_n_problems`.

    Args:
        every_n_problems: Problems between two lines where there is no terminal.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage in ("test", "predict"):
            self._module = evaluated(self, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start("test", self._module.results.problems, self._module.problems_expected)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start("predict", self._module.results.problems, self._module.problems_expected)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._show_results()

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._show_results()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.stop()

    def _show_results(self) -> None:
        results = self._module.results
        expected = self._module.problems_expected
        self.show(
            results.problems, expected, f"right {results.accuracy:.1%} | {results.generated_tokens:,} tokens"
        )
