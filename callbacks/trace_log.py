"""What `predict` leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.batch_log import append_lines
from callbacks.evaluation_log import EvaluationLog
from callbacks.summary_file import ending, unjudged, versions, write_summary
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.traces import read_traces, to_line, write_parquet


class TraceLog(EvaluationLog):
    """Appends the traces of each batch of `predict` to `traces.jsonl` in the run folder, one problem a line.

    Run again, `predict` goes on after the problems that the file holds, provided it was made in the same
    way. At the end, also by an exception, `summary.json`. The forms are documented in docs/evaluation.md.
    Other verbs are left alone.

    Args:
        parquet: Also write `traces.parquet` when the run has ended.
    """

    verb, file_name = "predict", "traces.jsonl"
    files = ("traces.jsonl",)

    def __init__(self, parquet: bool = False) -> None:
        self._parquet = parquet

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start(trainer)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Sequence[str], *_: Any
    ) -> None:
        if self._following:
            results = self._module.results
            assert isinstance(results, CollectedTraces)  # in `predict`
            append_lines(self.path, (to_line(results.traces[name]).rstrip("\n") for name in outputs))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._following:
            self._end(None)
            if self._parquet:
                with whole_file(self.folder / "traces.parquet") as partial:
                    write_parquet(read_traces(self.path), partial)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._following:
            self._end(exception)

    def _end(self, stopped_by: BaseException | None) -> None:
        import rich
        from rich.table import Table

        self._following = False
        measured = self._module.summary()
        summary = {"verb": self.verb, **measured, **ending(measured["ended_by"], stopped_by)}
        write_summary(self.folder, {**summary, "versions": versions()})
        table = Table(title=f"predict: {summary['ended']}", show_header=False)
        table.add_row("ended by", summary["ended_by"])
        for name in ("problems", "accepted", "attempts", "generated_tokens"):
            table.add_row(name.replace("_", " "), f"{summary[name]:,}")
        if summary["acceptance"] is not None:
            table.add_row("acceptance", f"{summary['acceptance']:.1%}")
        table.add_row("not judged", unjudged(summary))
        rich.get_console().print(table)
        print(self.path)
