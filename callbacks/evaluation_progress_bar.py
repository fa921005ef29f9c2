"""Progress of `test` and `predict` in problems."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from callbacks.evaluated_module import evaluated
from callbacks.pace import Pace
from callbacks.problem_bar import ProblemBar


class EvaluationProgressBar(ProgressBar):
    """Problems, share of right ones, generated tokens.

    On a terminal a bar; elsewhere (a log file) a plain line every `every_n_problems`.

    Args:
        every_n_problems: Problems between two lines where there is no terminal.
    """

    def __init__(self, every_n_problems: int = 160) -> None:
        super().__init__()
        self._pace = Pace(every_n_problems)
        self._enabled = True
        self._bar: ProblemBar | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        import rich

        rich.get_console().print(*args)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("test", pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("predict", pl_module)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._show("test", pl_module)

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._show("predict", pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _start(self, verb: str, pl_module: LightningModule) -> None:
        module = evaluated(self, pl_module)
        if self._enabled:
            self._bar = ProblemBar(self._pace, verb, module.results.problems, module.problems_expected)

    def _show(self, verb: str, pl_module: LightningModule) -> None:
        if self._bar is not None:
            module = evaluated(self, pl_module)
            total = "" if module.problems_expected is None else f"/{module.problems_expected}"
            results = module.results
            self._bar.show(
                results.problems,
                f"{verb} {results.problems}{total} problems | right {results.accuracy:.1%} | "
                f"{results.generated_tokens:,} tokens",
            )

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
