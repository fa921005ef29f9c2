"""What `predict` leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.batch_log import append_lines
from callbacks.evaluated_module import evaluated, take_up
from callbacks.play_callback import run_folder
from callbacks.summary_file import versions, write_summary
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.traces import read_traces, to_line, write_parquet


class TraceLog(Callback):
    """Appends the traces of each batch of `predict` to `traces.jsonl` in the run folder, one problem a line.

    Run again, `predict` goes on after the problems that the file holds, provided it was made in the same
    way. At the end, also by an exception, `summary.json`. The forms are documented in docs/evaluation.md.
    Other verbs are left alone.

    Args:
        parquet: Also write `traces.parquet` when the run has ended.
    """

    def __init__(self, parquet: bool = False) -> None:
        self._parquet = parquet
        self._following = False

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "traces.jsonl"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "predict":
            evaluated(self, pl_module)
            self.folder = run_folder(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        take_up(trainer, evaluated(self, pl_module), self.path)
        self._following = trainer.is_global_zero

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Sequence[str], *_: Any
    ) -> None:
        if self._following:
            results = evaluated(self, pl_module).results
            assert isinstance(results, CollectedTraces)
            traces = results.traces
            append_lines(self.path, (to_line(traces[problem_id]).rstrip("\n") for problem_id in outputs))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._following:
            return
        self._end(pl_module, "finished")
        if self._parquet:
            with whole_file(self.folder / "traces.parquet") as partial:
                write_parquet(read_traces(self.path), partial)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._following:
            self._end(pl_module, type(exception).__name__)

    def _end(self, pl_module: LightningModule, ended: str) -> None:
        import rich
        from rich.table import Table

        self._following = False
        summary = {"verb": "predict", "ended": ended, **evaluated(self, pl_module).summary()}
        write_summary(self.folder, {**summary, "versions": versions()})
        table = Table(title=f"predict: {ended}", show_header=False)
        for name in ("problems", "accepted", "attempts", "generated_tokens"):
            table.add_row(name.replace("_", " "), f"{summary[name]:,}")
        if summary["acceptance"] is not None:
            table.add_row("acceptance", f"{summary['acceptance']:.1%}")
        rich.get_console().print(table)
        print(self.path)
