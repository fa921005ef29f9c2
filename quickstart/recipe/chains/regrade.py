"""Judges the answers of tests and the traces of arms step by step, and says how hard each problem is.

    python -m quickstart.recipe.chains.regrade --help

For every test `NAME` it writes `NAME.right.jsonl.gz`, the predictions as they were, and `NAME.true.jsonl.gz`,
where only true ones are correct. Both have the labels `steps`, `luck` and `base`: how often the base answered
truly. `traces.csv` tells how careless the right traces of an arm are, `mistakes.csv` where tests go wrong.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import auto_cli

from flowdpo_pl.results.predictions import Prediction, by_problem, read_predictions, to_line
from flowdpo_pl.results.traces import read_traces
from quickstart.recipe.chains.grade import Grade, grade

SELDOM, OFTEN = 0.2, 0.6
"""Bounds of how often the base is true: below the first is `seldom`, from the second on `often`."""
Row = Mapping[str, str]


def regrade(
    out: Path,
    problems: Path,
    base: str,
    tests: dict[str, Path],
    traces: dict[str, Path] = {},  # noqa: B006
) -> None:
    """Write what the answers are worth, step by step.

    Args:
        out: the folder to write to.
        problems: those of all tests, as `quickstart.recipe.chains.problems` wrote them.
        base: the test that says how often the base answers a problem truly, sampled several times; no other
            test has a problem that it lacks.
        tests: predictions by name.
        traces: trace files by name.
    """
    rows = {row["question"]: row for row in read_rows(problems)}
    read = {name: read_predictions(path) for name, path in tests.items()}
    often = how_often([truly(one, rows[one.question]) for one in read[base]])
    for name, predictions in read.items():
        if unknown := [one.problem_id for one in predictions if one.problem_id not in often]:
            sys.exit(
                f"the test '{name}' asks {unknown[0]}, which '{base}' does not: ask the base all problems."
            )
    out.mkdir(parents=True, exist_ok=True)
    for name, predictions in read.items():
        labelled = [labelled_by(one, rows[one.question], often) for one in predictions]
        _write(out / f"{name}.right.jsonl.gz", labelled)
        _write(out / f"{name}.true.jsonl.gz", [truly(one, rows[one.question]) for one in labelled])
    write_table(out / "mistakes.csv", [mistakes(name, found, rows) for name, found in read.items()])
    write_table(
        out / "traces.csv", [careless(name, path, _all_rows(problems)) for name, path in traces.items()]
    )


def truly(prediction: Prediction, row: Row) -> Prediction:
    """The prediction, correct only if every step is right as well."""
    true = prediction.correct and grade(prediction.text, row["solution"]).true
    return replace(prediction, correct=true, score=float(true))


def labelled_by(prediction: Prediction, row: Row, often: Mapping[str, str]) -> Prediction:
    labels = {"steps": row["steps"], "luck": row["luck"], "base": often[prediction.problem_id]}
    return replace(prediction, labels={**prediction.labels, **labels})


def how_often(base: Sequence[Prediction]) -> dict[str, str]:
    """By problem: whether the base answers truly seldom, sometimes or often."""
    found = {}
    for name, samples in by_problem(base).items():
        share = sum(sample.correct for sample in samples) / len(samples)
        found[name] = "seldom" if share < SELDOM else "often" if share >= OFTEN else "sometimes"
    return found


def mistakes(name: str, predictions: Sequence[Prediction], rows: Mapping[str, Row]) -> dict[str, object]:
    """Where the answers of a test go wrong first, and how many write on."""
    grades = [grade(one.text, rows[one.question]["solution"]) for one in predictions]
    places = [
        (one.mistake + 0.5) / int(rows[prediction.question]["steps"])
        for one, prediction in zip(grades, predictions, strict=True)
        if one.mistake is not None
    ]
    return {
        "test": name,
        "right, %": percent(one.correct for one in predictions),
        "true, %": percent(g.true and one.correct for g, one in zip(grades, predictions, strict=True)),
        "a step wrong, %": percent(one.mistake is not None for one in grades),
        "first mistake in the chain's first half, %": percent(place < 0.5 for place in places),
        "write on after an answer, %": percent(one.afterthoughts > 0 for one in grades),
        "tokens": f"{sum(one.tokens for one in predictions) / len(predictions):.1f}",
    }


def careless(name: str, path: Path, rows: Mapping[str, Row]) -> dict[str, object]:
    """How an arm's right traces came about."""
    right = [trace for trace in read_traces(path) if trace.correct]
    grades: list[Grade] = [grade(trace.trace, rows[trace.question]["solution"]) for trace in right]
    lucky = [one for one, trace in zip(grades, right, strict=True) if rows[trace.question]["luck"] == "lucky"]
    return {
        "traces": name,
        "right": len(right),
        "careless, %": percent(not one.true for one in grades),
        "careless of the lucky, %": percent(not one.true for one in lucky),
        "write on after an answer, %": percent(one.afterthoughts > 0 for one in grades),
    }


def percent(shares: Iterable[bool]) -> str:
    counted = list(shares)
    return f"{100 * sum(counted) / len(counted):.1f}" if counted else ""


def read_rows(problems: Path) -> list[Row]:
    return [json.loads(line) for line in problems.read_text(encoding="utf-8").splitlines()]


def _all_rows(problems: Path) -> dict[str, Row]:
    """Those of all splits beside this file: traces are of `train`."""
    files = sorted(problems.parent.glob("*.jsonl"))
    return {row["question"]: row for file in files for row in read_rows(file)}


def _write(path: Path, predictions: Sequence[Prediction]) -> None:
    # Without a time in the file: the same predictions give the same bytes.
    text = "".join(map(to_line, predictions)).encode()
    path.write_bytes(gzip.compress(text, mtime=0))


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else [])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    auto_cli(regrade, as_positional=False)
