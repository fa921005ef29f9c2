"""What `test` leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.evaluated_module import evaluated
from callbacks.play_callback import run_folder
from callbacks.summary_file import versions, write_summary
from flowdpo_pl.predictions import to_line
from flowdpo_pl.whole_writes import whole_file


class PredictionLog(Callback):
    """Writes `predictions.jsonl` and `summary.json` to the run folder after `test`, and prints a table.

    The forms are documented in docs/evaluation.md. Other verbs are left alone.
    """

    folder: Path

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "test":
            evaluated(self, pl_module)
            self.folder = run_folder(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        module = evaluated(self, pl_module)
        with (
            whole_file(self.folder / "predictions.jsonl") as partial,
            partial.open("w", encoding="utf-8") as file,
        ):
            file.writelines(map(to_line, module.predictions))
        summary = {"verb": "test", **module.summary(), "versions": versions()}
        write_summary(self.folder, summary)
        print_table(summary)
        for name in ("predictions.jsonl", "summary.json"):
            print(self.folder / name)


def print_table(summary: Mapping[str, Any]) -> None:
    """Prints the accuracies, over all and by label, with their intervals."""
    import rich
    from rich.table import Table

    several = "majority" in summary
    columns = ["", "problems", "right, mean of samples" if several else "right"]
    table = Table(*columns, *(["right, majority"] if several else []), title="test")
    rows = {"all": summary}
    for label, values in summary["by_label"].items():
        rows |= {f"{label}: {value}": measured for value, measured in values.items()}
    for name, measured in rows.items():
        majority = [_share(measured["majority"])] if "majority" in measured else []
        table.add_row(name, f"{measured['problems']:,}", _share(measured), *majority)
    rich.get_console().print(table)


def _share(measured: Mapping[str, Any]) -> str:
    if measured["accuracy"] is None:
        return "none"
    return f"{measured['accuracy']:.1%} ({measured['low']:.1%} to {measured['high']:.1%})"
