"""Progress of `test` and `predict` in problems."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.screen.progress_line import ProgressLine
from callbacks.screen.speed import Speed, amount
from callbacks.watching.pace import Pace
from callbacks.watching.watched_modules import evaluated


class EvaluationProgressBar(ProgressLine):
    """Problems, time left, problems and tokens a second, share of right ones; other verbs are left alone.

    On a terminal or in a notebook a bar; elsewhere (a log file) a plain line every `every_n_problems`.

    Args:
        every_n_problems: Problems between two lines where no bar can be shown.
    """

    def __init__(self, every_n_problems: int = 160) -> None:
        super().__init__(Pace(every_n_problems), "problems")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage in ("test", "predict"):
            self._module = evaluated(self, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("test")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("predict")

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

    def _start(self, verb: str) -> None:
        results = self._module.results
        self._tokens = Speed(results.generated_tokens)
        self.start(verb, results.problems, self._module.problems_expected)

    def _show_results(self) -> None:
        results = self._module.results
        tokens = results.generated_tokens
        self._tokens.add(tokens)
        self.show(
            results.problems,
            self._module.problems_expected,
            f"{amount(self._tokens.a_second)} tokens/s",
            f"right {results.accuracy:.1%}",
            f"{tokens:,} tokens",
        )
