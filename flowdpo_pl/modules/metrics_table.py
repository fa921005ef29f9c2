"""`metrics.csv`: what a run logs, a row at a time, carried on by a resumed run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.run_logger import RUNS, RunLogger
from flowdpo_pl.results.atomic_writes import append_lines, whole_file


class MetricsTable(RunLogger, CSVLogger):
    """Lightning's CSVLogger in the run's folder, whose file is on disk after every row and outlives a resume.

    The first column is the module's position: `problems_seen` (FlowDPOModule), `step` (SFTModule: optimizer
    steps). A resumed run keeps the rows up to its checkpoint. Nothing is touched before the first row.
    """

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
            prefix: put before every name but the first column's.
        """
        super().__init__(save_dir or RUNS, name or "", "" if version is None else version, prefix)

    @property
    def file(self) -> Path:
        return Path(self.log_dir) / "metrics.csv"

    @property
    def experiment(self) -> None:
        """Lightning makes the writer of a CSVLogger early, which removes the old file; here is none."""

    @rank_zero_only
    def log_hyperparams(self, params: Any = None) -> None:
        """The run's arguments are in `config.yaml`."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        prefix = f"{self._prefix}{self.LOGGER_JOIN_CHAR}" if self._prefix else ""
        row = {self.axis: step}
        row |= {f"{prefix}{name}": _plain(value) for name, value in metrics.items() if name != self.axis}
        header = _header(self.file)
        if new := [name for name in row if name not in header]:
            header += new
            self._rewrite(header, _rows(self.file))
        line = io.StringIO()
        csv.DictWriter(line, header, lineterminator="").writerow(row)
        append_lines(self.file, [line.getvalue()])

    @rank_zero_only
    def go_on(self, position: int) -> None:
        """Keep the rows up to `position`; without a file, nothing.

        Raises:
            UserError: the file is none of this logger.
        """
        if not self.file.exists():
            return
        rows = _rows(self.file)
        try:
            kept = [row for row in rows if None not in row and float(row[self.axis]) <= position]
        except (KeyError, ValueError) as error:
            raise UserError(f"{self.file} is not of this run ({error!r}): move it away to go on.") from error
        self._rewrite(_header(self.file), kept)

    @rank_zero_only
    def save(self) -> None:
        """Every row is on disk already."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Nothing waits."""

    def _rewrite(self, header: list[str], rows: list[dict[str, str]]) -> None:
        with whole_file(self.file) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, header, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _header(file: Path) -> list[str]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines), [])


def _rows(file: Path) -> list[dict[str, str]]:
    """Whole rows, by column; a last one that was cut off is left out."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
