"""`compare`: two runs of `test` on the same problems, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from flowdpo_pl.results.paired import Comparison, paired
from flowdpo_pl.results.tested import Tested, read_test
from flowdpo_pl.visible import visible_line


def compare(a: Path, b: Path, seed: int = 0, resamples: int = 10_000) -> None:
    """Compare two runs of `test` on the problems that both have; the last line printed is JSON.

    Args:
        a: the first run: its folder, its `test/`, or the predictions.jsonl (.gz) in it.
        b: the second run; differences are b minus a.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    import rich
    from rich.table import Table

    runs = read_test(a), read_test(b)
    compared = paired(runs[0].predictions, runs[1].predictions, seed, resamples)
    alike = likeness(*runs)
    for name, run in zip("ab", runs, strict=True):
        print(f"{name}: {visible_line(str(run.path))}")
    table = Table("", "a", "b", "b - a", title=f"{compared.problems:,} problems in both")
    difference = f"{compared.difference:+.1%} ({compared.low:+.1%} to {compared.high:+.1%})"
    table.add_row("accuracy", f"{compared.accuracy_a:.1%}", f"{compared.accuracy_b:.1%}", difference)
    table.add_row("better on", f"{compared.a_better:,}", f"{compared.b_better:,}", f"p = {compared.p:.3g}")
    table.add_row("not in the other", f"{compared.only_a:,}", f"{compared.only_b:,}", "")
    rich.get_console().print(table)
    for remark in remarks(runs, compared, alike):
        print(visible_line(remark))
    print(json.dumps({**asdict(compared), **alike}))


def likeness(a: Tested, b: Tested) -> dict[str, bool | None]:
    """`same_file`, `same_made_by` and `same_verifier` of two tests; None where nobody knows."""
    known = a.made_by is not None and b.made_by is not None
    return {
        "same_file": a.path.resolve() == b.path.resolve(),
        "same_made_by": a.made_by == b.made_by if known else None,
        "same_verifier": a.verifier == b.verifier if known else None,
    }


def remarks(runs: tuple[Tested, Tested], compared: Comparison, alike: dict[str, bool | None]) -> list[str]:
    """What one must know to read the numbers: at most a sentence on what is compared, and on who judged."""
    said = []
    if alike["same_file"]:
        said.append("a and b are the same file: the comparison says nothing.")
    elif alike["same_made_by"]:
        said.append(
            "a and b were made alike (made_by is the same in both summary.json): the comparison says "
            "nothing new."
        )
    elif compared.same_answers:
        said.append("a and b hold the same answers with the same verdicts: the comparison says nothing new.")
    if alike["same_verifier"] is False:
        judges = f"a by {runs[0].verifier}, b by {runs[1].verifier}"
        said.append(f"they were judged differently ({judges}): the difference may be the judges' alone.")
    unknown = [name for name, run in zip("ab", runs, strict=True) if run.made_by is None]
    if unknown and not alike["same_file"]:
        said.append(
            f"no summary.json of a test lies beside {' and '.join(unknown)}: whether they were made, and "
            "judged, alike is not known."
        )
    return said
