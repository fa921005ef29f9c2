"""What `predict` leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.files.evaluation_log import EvaluationLog
from callbacks.screen.products import print_products, quoted
from callbacks.screen.table import print_rows
from callbacks.summary.shares import unjudged
from callbacks.summary.summary_file import ending, versions, write_summary
from callbacks.watching.run_files import still_telling
from flowdpo_pl.results.atomic_writes import append_lines, whole_file
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
            if self._parquet:
                with whole_file(self.folder / "traces.parquet") as partial:
                    write_parquet(read_traces(self.path), partial)
            self._end(None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._following:
            with still_telling(exception):
                self._end(exception)

    def _end(self, stopped_by: BaseException | None) -> None:
        self._following = False
        measured = self._module.summary()
        summary = {"verb": self.verb, **measured, **ending(measured["ended_by"], stopped_by)}
        write_summary(self.folder, {**summary, "versions": versions()})
        rows = {"ended by": summary["ended_by"]} | {
            name.replace("_", " "): f"{summary[name]:,}"
            for name in ("problems", "accepted", "attempts", "generated_tokens")
        }
        if summary["acceptance"] is not None:
            rows["acceptance"] = f"{summary['acceptance']:.1%}"
        print_rows(f"predict: {summary['ended']}", {**rows, "not judged": unjudged(summary)})
        print_products(
            self.folder,
            ("traces.jsonl", "traces.parquet", "summary.json"),
            (f"fit --config SFT.yaml --data.train={quoted(f'[{self.path}]')}",) if stopped_by is None else (),
        )
        if stopped_by is not None:
            print("the same command goes on from it")
