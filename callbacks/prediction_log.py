"""What `test` leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.files.evaluation_log import EvaluationLog
from callbacks.screen.products import print_products, quoted
from callbacks.summary.shares import chooser_told, share_told, unjudged
from callbacks.summary.summary_file import ending, versions, write_summary
from flowdpo_pl.results.atomic_writes import append_lines, remove, whole_file
from flowdpo_pl.results.judged_answers import JudgedAnswers, unfinished_header, unfinished_line
from flowdpo_pl.results.predictions import to_line
from flowdpo_pl.visible import visible_line


class PredictionLog(EvaluationLog):
    """Writes `predictions.jsonl` and `summary.json` to the run folder after `test`, and prints a table.

    Until then what is done stands in `predictions.unfinished.jsonl`; run again, an interrupted `test` goes
    on from it, provided it is made in the same way. The forms are documented in docs/evaluation.md. Other
    verbs are left alone.
    """

    verb, file_name = "test", "predictions.unfinished.jsonl"
    files = ("predictions.jsonl",)

    @property
    def _answers(self) -> JudgedAnswers:
        results = self._module.results
        assert isinstance(results, JudgedAnswers)  # in `test`
        return results

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start(trainer)
        if self._following and not (self.path.exists() and self.path.stat().st_size):
            append_lines(self.path, [unfinished_header(self._module.summary()["made_by"])])

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        if self._following:
            append_lines(self.path, (unfinished_line(self._answers.of(name)) for name in outputs["answered"]))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._following:
            return
        self._following = False
        with (
            whole_file(self.folder / "predictions.jsonl") as partial,
            partial.open("w", encoding="utf-8") as file,
        ):
            file.writelines(map(to_line, self._answers.predictions))
        measured = self._module.summary()
        summary = {
            "verb": self.verb,
            **measured,
            **ending(measured["ended_by"], None),
            "versions": versions(),
        }
        write_summary(self.folder, summary)
        remove(self.path)
        print_table(summary)
        print_products(
            self.folder,
            ("predictions.jsonl", "summary.json"),
            (f"compare {quoted(self.folder)} OTHER/test",),
        )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._following:
            self._following = False
            print(f"test: {type(exception).__name__}; the same command goes on from {self.path}")


def print_table(summary: Mapping[str, Any]) -> None:
    """Prints the accuracies, over all and by label, with their intervals."""
    import rich
    from rich.table import Table
    from rich.text import Text

    several = "majority" in summary
    table = Table("", title="test")  # a long label is folded, no number
    measures = ["right, mean of samples", "right, majority"] if several else ["right"]
    for column in ("problems", *measures):
        table.add_column(column, no_wrap=True)
    rows = {"all": summary}
    for label, values in summary["by_label"].items():
        rows |= {f"{label}: {value}": measured for value, measured in values.items()}
    for name, measured in rows.items():
        majority = [_share(measured["majority"])] if "majority" in measured else []
        # Text, not markup: a label is the data's.
        table.add_row(Text(visible_line(name)), f"{measured['problems']:,}", _share(measured), *majority)
    console = rich.get_console()
    console.print(table)
    told = {"chooser": chooser_told(summary["chooser"]), "not judged": unjudged(summary)}
    told["ended by"] = summary["ended_by"]
    for name, text in told.items():
        if text:
            console.print(f"{name}: {text}", highlight=False)


def _share(measured: Mapping[str, Any]) -> str:
    if measured["accuracy"] is None:
        return "none"
    return share_told(measured["accuracy"], measured["low"], measured["high"])
