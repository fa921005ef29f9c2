"""TensorBoard: what a run logs as an event file in its folder."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from flowdpo_pl.modules.run_logger import RUNS, RunLogger
from flowdpo_pl.visible import visible_line

_INERT = str.maketrans({mark: f"&#{ord(mark)};" for mark in string.punctuation})
"""No punctuation of a cell is read as Markdown or HTML."""


class TensorBoard(RunLogger, TensorBoardLogger):
    """Lightning's TensorBoardLogger in the run's folder, whose steps are the run's position."""

    packages = ("tensorboard", "tensorboardX")
    extra = "tensorboard"

    def __init__(
        self,
        save_dir: str | None = None,
        name: str | None = None,
        version: str | int | None = None,
        prefix: str = "",
    ) -> None:
        """
        Args:
            save_dir: folder of runs; null: that of another logger, or `runs`.
            name: the run's folder in it; null: that of another logger, or none.
            version: folder in that; null: that of another logger, or none.
            prefix: put before every name.
        """
        super().__init__(
            save_dir or RUNS,
            name or "",
            "" if version is None else version,
            default_hp_metric=False,
            prefix=prefix,
        )

    def go_on(self, position: int) -> None:
        """Readers leave out what earlier event files of the folder hold after `position`."""
        self._close()
        if position:
            self._kwargs["purge_step"] = position + 1

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """A table as Markdown, under TEXT."""
        rows = [columns or [], ["---"] * len(columns or [])]
        rows += [[_cell(value) for value in row] for row in data or []]
        self.experiment.add_text(key, "\n".join(map(_line, rows)), step)

    @rank_zero_only
    def log_hyperparams(self, params: Any = None, metrics: Any = None, step: int | None = None) -> None:
        """The run's arguments are in `config.yaml`."""

    @rank_zero_only
    def save(self) -> None:
        if self._experiment is not None:
            self._experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self._close()

    def _close(self) -> None:
        if self._experiment is not None:
            self._experiment.close()
            self._experiment = None


def _cell(value: Any) -> str:
    return visible_line(str(value)).translate(_INERT)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
