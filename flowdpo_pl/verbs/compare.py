"""`compare`: two runs of `test` on the same problems, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from flowdpo_pl.results.paired import paired
from flowdpo_pl.results.predictions import read_predictions


def compare(a: Path, b: Path, seed: int = 0, resamples: int = 10_000) -> None:
    """Compare two runs of `test` on the problems that both have; the last line printed is JSON.

    Args:
        a: predictions.jsonl of the first run.
        b: predictions.jsonl of the second run; differences are b minus a.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    import rich
    from rich.table import Table

    compared = paired(read_predictions(a), read_predictions(b), seed, resamples)
    print(f"a: {a}\nb: {b}")
    table = Table("", "a", "b", "b - a", title=f"{compared.problems:,} problems in both")
    difference = f"{compared.difference:+.1%} ({compared.low:+.1%} to {compared.high:+.1%})"
    table.add_row("accuracy", f"{compared.accuracy_a:.1%}", f"{compared.accuracy_b:.1%}", difference)
    table.add_row("better on", f"{compared.a_better:,}", f"{compared.b_better:,}", f"p = {compared.p:.3g}")
    table.add_row("not in the other", f"{compared.only_a:,}", f"{compared.only_b:,}", "")
    rich.get_console().print(table)
    print(json.dumps(asdict(compared)))
