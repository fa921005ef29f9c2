"""A run in words: what it was, how it ended, what limits it, what its tests gave, where its files are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flowdpo_pl.report.markup import Markup, joined, table, tag
from flowdpo_pl.report.reported_run import ReportedRun
from flowdpo_pl.report.run_charts import HELD, PHASES
from flowdpo_pl.report.stretches import share, total
from flowdpo_pl.results.curves import untrained
from flowdpo_pl.results.scores import shown

_FILES = (
    "config.yaml",
    "summary.json",
    "metrics.csv",
    "accuracy_curve.csv",
    "trees.jsonl",
    "samples",
    "view.html",
)
_FIRST = ("right at the start", "right, latest problems", "problems", "loss of the last epoch")
"""What one looks at first."""
_LONG = 400
"""Characters of a setting."""
_MOST = 10**12
"""Of pairs or seconds."""


def ended(run: ReportedRun) -> str:
    """How the run ended, in a sentence."""
    how, by = run.summary.get("ended"), run.summary.get("ended_by")
    if not run.summary:
        return "It has not ended, or keeps no summary: this is the run as far as it is."
    if how == "finished":
        return f"It finished, ended by {by}." if by else "It finished."
    return f"It was stopped by {how}: this is the run as far as it came."


def facts(run: ReportedRun) -> Markup:
    """What the run was, and its first numbers."""
    told = [
        tag("div", tag("dt", name), tag("dd", value), class_="first" if name in _FIRST else "rest")
        for name, value in _facts(run)
        if value
    ]
    return joined([tag("p", ended(run)), tag("dl", *told, class_="facts")])


def _facts(run: ReportedRun) -> Iterator[tuple[str, str]]:
    summary, settings, curve = run.summary, run.run.settings, run.curve
    if curve is not None:
        latest, low, high = (100 * part[-1] for part in curve.of("window"))
        first = untrained(curve)
        yield "right at the start", f"{first:.1f} %" if first is not None else ""
        yield "right, latest problems", f"{latest:.1f} % ({low:.1f} to {high:.1f})"
        yield "problems", f"{curve.problems[-1]:,}"
    if isinstance(summary.get("loss"), float):
        yield "loss of the last epoch", f"{summary['loss']:.3f}"
    pairs = {agent: _number(number) for agent, number in _inner(summary, "pairs").items()}
    yield "pairs", ", ".join(f"{agent} {number:,}" for agent, number in pairs.items() if number is not None)
    seconds = summary.get("seconds")
    whole = _number(seconds.get("total") if isinstance(seconds, Mapping) else seconds)
    if whole is not None:
        yield "time", str(timedelta(seconds=round(whole)))
    yield "started", run.started
    base = run.run.base
    yield "base", " ".join(str(base[key]) for key in ("path", "dtype", "quantization") if base.get(key))
    if not run.run.is_fine_tuned:
        yield "flow", _class(run.run.team.get("flow"))
        yield "loss", _class((settings.get("learning") or {}).get("loss"))
        yield "learning rate", str((settings.get("learning") or {}).get("lr", ""))
        yield "verifier", _class(settings.get("verifier"))
    else:
        yield "trained", "one model on traces (fine-tuning)"
    yield "data", _data(run)
    yield "seed", str(run.seed)


def runs_table(runs: Sequence[ReportedRun]) -> Markup:
    """Runs beside each other, each a link to its part of the page."""
    head = [
        "run",
        "seed",
        "right at the start, %",
        "right, latest problems, %",
        "problems",
        "pairs",
        "time",
        "ended",
    ]
    rows = []
    for number, run in enumerate(runs, start=1):
        told = dict(_facts(run))
        numbers = [
            told.get(key, "").replace(" %", "") for key in ("right at the start", "right, latest problems")
        ]
        rest = [told.get(key, "") for key in ("problems", "pairs", "time")]
        how = str(run.summary.get("ended", "not yet"))
        rows.append([tag("a", run.name, href=f"#run-{number}"), str(run.seed), *numbers, *rest, how])
    return table(head, rows)


def findings(run: ReportedRun) -> Markup:
    """What limits learning; empty where nobody has looked."""
    found = run.findings()
    if found is None:
        return Markup("")
    if not found:
        return tag("p", "Nothing stands out that keeps this run from learning.")
    items = [tag("li", tag("strong", sentence), f" Try: {advice}.") for sentence, advice in found]
    return tag("ol", *items, class_="findings")


def confusion(run: ReportedRun) -> Markup:
    """What the chooser said in the whole run; empty where none was asked."""
    rows = run.logged.rows if run.logged is not None else []
    asked = {held: total(rows, f"chooser/nodes/{held}") for held in HELD}
    if not any(asked.values()):
        return Markup("")
    cells = []
    for held, words in HELD.items():
        said = total(rows, f"chooser/finished/{held}")
        rest = asked[held] - said
        part = share(said, asked[held])
        told = "" if part is None else f"{part:.1f} %"
        cells.append([words, f"{asked[held]:,.0f}", f"{said:,.0f}", f"{rest:,.0f}", told])
    return table(["the answer held", "asked", "finished", "go on", "said finished"], cells)


def costs(run: ReportedRun) -> Markup:
    """Seconds and tokens of the whole run by phase; empty where they are unknown."""
    rows = run.logged.rows if run.logged is not None else []
    seconds = {phase: total(rows, f"seconds/{phase}") for phase in PHASES}
    whole = sum(seconds.values())
    if not whole:
        return Markup("")
    tokens = {
        "play": total(rows, "generated_tokens"),
        "update": sum(total(rows, f"{agent}/tokens") for agent in run.agents),
    }
    cells = [
        [
            phase,
            f"{spent:,.1f}",
            f"{100 * spent / whole:.0f} %",
            f"{tokens[phase]:,.0f}" if phase in tokens else "",
            f"{tokens[phase] / spent:,.0f}" if phase in tokens and spent else "",
        ]
        for phase, spent in seconds.items()
    ]
    return table(["phase", "seconds", "share", "tokens", "tokens/s"], cells)


def tests(run: ReportedRun) -> Markup:
    """What tests of its adapters gave; empty without any."""
    rows = list(shown(run.scores()))
    return table(["problems of", "problems", "right (95 %)", "how"], rows) if rows else Markup("")


def settings(run: ReportedRun) -> Markup:
    """All that was set for the model and the data, folded away."""
    sections = {key: run.run.config.get(key) for key in ("seed_everything", "model", "data")}
    rows = [[key, value if len(value) <= _LONG else f"{value[:_LONG]} …"] for key, value in _leaves(sections)]
    return tag("details", tag("summary", "Settings"), table(["key", "value"], rows))


def files(run: ReportedRun, page: Path) -> Markup:
    """Links to the run's files from where the page lies."""
    there = [name for name in _FILES if (run.folder / name).exists()]
    start = page.resolve().parent
    links = [
        tag("a", name, href=quote(os.path.relpath(run.folder.resolve() / name, start))) for name in there
    ]
    return tag("p", "Files: ", joined(links, ", "), class_="quiet") if links else Markup("")


def _data(run: ReportedRun) -> str:
    """Where it learnt from: the path of its problems, or of its traces."""
    train = _inner(run.run.data, "init_args").get("train")
    paths = train.get("path") if isinstance(train, Mapping) else train
    return ", ".join(map(str, paths)) if isinstance(paths, list) else str(paths or "")


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Keys as they are typed, with their values; what is null or empty is left out."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            below = key if name in ("init_args", "class_path") else f"{key}.{name}" if key else str(name)
            yield from _leaves(inner, below)
    elif value not in (None, "", [], {}):
        yield key, str(value)


def _class(given: Any) -> str:
    """A class of the config and its plain arguments, in a line."""
    if not isinstance(given, Mapping):
        return str(given or "")
    arguments = _inner(given, "init_args")
    name = str(given.get("class_path", "")).rpartition(".")[2]
    told = ", ".join(
        f"{key} {value}" for key, value in arguments.items() if value not in (None, "", [], {}, 0.0)
    )
    return f"{name} ({told})" if told else name


def _number(value: Any) -> float | None:
    """A number of the summary; None for what is none that could be one of a run."""
    return value if type(value) in (int, float) and 0 <= value <= _MOST else None


def _inner(value: Any, key: str) -> Mapping[str, Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}
