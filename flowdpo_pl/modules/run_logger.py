"""What the loggers of a run share: its folder, when they begin, and what their rows are numbered by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, ClassVar

from lightning.fabric.loggers.logger import _DummyExperiment as NothingYet
from lightning.pytorch.loggers import Logger

from flowdpo_pl.errors import UserError

RUNS = "runs"
"""Where runs are written, unless a config says else."""


class RunLogger(Logger):
    """A logger that writes into the run's folder, `save_dir/name/version`.

    Of several that a config names, each part of the folder need be said once; `run_place` gives it to all.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    """Modules one of which must be installed."""
    extra: ClassVar[str] = ""
    """Of this package, which installs the first of them."""
    axis = "step"
    """What rows are numbered by, as the module names it: `problems_seen`."""
    _held = False

    def hold(self) -> None:
        """Open nothing until `begin`: a run that fails before it begins has changed nothing."""
        self._held = True

    def begin(self, settings: str) -> None:
        """The run begins to write.

        Args:
            settings: all its arguments, as YAML.
        """
        self._held = False

    def go_on(self, position: int) -> None:
        """Training begins (at 0), or goes on after `position`: rows of later ones are taken back."""

    @property
    def experiment(self) -> Any:
        """What the logger writes to; while it is held, something that takes everything and does nothing."""
        return NothingYet() if self._held else super().experiment  # type: ignore[misc]

    @classmethod
    def require_installed(cls) -> None:
        """
        Raises:
            UserError: the package that it writes with is not installed.
        """
        if cls.packages and not any(map(find_spec, cls.packages)):
            raise UserError(
                f"trainer.logger names {cls.__name__}, which needs the package {cls.packages[0]}: "
                f"pip install 'flowdpo-pl[{cls.extra}]', or leave the logger out."
            )


def number_rows(loggers: Iterable[Logger], axis: str, position: Callable[[], int]) -> None:
    """Every row that these loggers take from now on stands at `position()` of the axis.

    Lightning and its callbacks number rows by batches of the process, which is no place in a run.
    """
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.axis = axis
        logger.log_metrics = _placed(logger, position)  # type: ignore[method-assign]


def _placed(logger: Logger, position: Callable[[], int]) -> Callable[..., None]:
    def log_metrics(metrics: Any, step: int | None = None) -> None:
        type(logger).log_metrics(logger, metrics, position())

    return log_metrics
