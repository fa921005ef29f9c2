"""Reasoning traces on disk: what was written for a problem, who wrote it, and whether it is right.

One problem a line (JSONL), or one a row (parquet), with the fields of `Trace`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from flowdpo_pl.data.json_rows import each_key_once
from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.json_text import json_text, whole_text
from flowdpo_pl.results.typed_values import LIST, OBJECT, TEXT, TEXT_OR_NULL, WHOLE, require_types, token_ids
from flowdpo_pl.types import BY_CORRECTNESS

_MAY_HAVE = {
    "extracted": TEXT_OR_NULL,
    "source": TEXT,
    **dict.fromkeys(("attempts", "generated_tokens", "judging_errors", "judging_timeouts"), WHOLE),
    "made_by": OBJECT,
    "token_ids": LIST,
}


@dataclass(frozen=True, slots=True)
class Trace:
    """One problem's trace: the first right one among its attempts, else the last one."""

    problem_id: str
    question: str
    gold: str
    trace: str
    """The text, as it was written."""
    correct: bool
    """Whether it is taken for right: the verifier says so, or its score reaches what was asked for
    (`model.accept_from` of `predict`)."""
    extracted: str | None = None
    """The answer that the verifier read in it."""
    source: str = ""
    """Its arm: `flow`, `self`, `ground_truth`, or a name of the user's."""
    attempts: int = 1
    """How many were tried for this problem, this one included."""
    generated_tokens: int = 0
    """By all attempts together."""
    judging_errors: int = 0
    """Of its attempts, those that could not be judged, time-outs included."""
    judging_timeouts: int = 0
    made_by: dict[str, Any] = field(default_factory=dict)
    """How it was made: base, adapters with their versions, flow, sampling, seed."""
    token_ids: tuple[int, ...] = ()
    """The trace as its model wrote it, without end tokens; empty where only the text is known."""
    score: float = BY_CORRECTNESS
    """How good it is, in [0, 1]; left out: 1 if it is correct, else 0."""

    def __post_init__(self) -> None:
        # What a model writes may hold half characters, which no file of traces takes: they become escapes
        # here, so that a trace is read back as it was written.
        object.__setattr__(self, "trace", whole_text(self.trace))
        if self.extracted is not None:
            object.__setattr__(self, "extracted", whole_text(self.extracted))
        if self.score is BY_CORRECTNESS:
            object.__setattr__(self, "score", 1.0 if self.correct else 0.0)


def read_traces(path: Path | str) -> list[Trace]:
    """All traces of a `.jsonl` (packed by gzip or not) or `.parquet` file, in order.

    Raises:
        UserError: the file does not exist, is of another format, lacks a field, or holds a problem twice.
    """
    path = require_trace_file(Path(path))
    traces = [_trace(values, where) for where, values in _rows(path)]
    seen: set[str] = set()
    for trace in traces:
        if trace.problem_id in seen:
            raise UserError(f"{path} holds problem {trace.problem_id} twice: keep one trace a problem.")
        seen.add(trace.problem_id)
    return traces


def require_trace_file(path: Path) -> Path:
    """The path, `~` resolved.

    Raises:
        UserError: there is no such file.
    """
    if not (path := path.expanduser()).is_file():
        raise UserError(f"trace file {path} does not exist: make it with `predict`, or name another.")
    return path


def to_line(trace: Trace) -> str:
    """The trace as a line of a JSONL file, newline included."""
    return json_text(asdict(trace)) + "\n"


def write_parquet(traces: Sequence[Trace], path: Path) -> None:
    """Write the traces as a table, `made_by` as JSON text."""
    from pyarrow import Table, parquet

    rows = [{**asdict(trace), "made_by": json.dumps(trace.made_by)} for trace in traces]
    columns = {name: [row[name] for row in rows] for name in (known.name for known in fields(Trace))}
    columns["token_ids"] = [list(row["token_ids"]) for row in rows]
    parquet.write_table(Table.from_pydict(columns), path)


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix.lower() == ".parquet":
        for number, values in enumerate(_table(path), start=1):
            where = f"{path}, row {number}"
            yield where, {**values, "made_by": _made_by(values.get("made_by"), where)}
        return
    for number, line in text_lines(path):
        where = f"{path}, line {number}"
        try:
            yield where, json.loads(line, object_pairs_hook=each_key_once)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{where} is no JSON ({error}): give a trace file that `predict` wrote."
            ) from error


def _table(path: Path) -> list[dict[str, Any]]:
    """The rows of a parquet file, each without what it leaves open."""
    from pyarrow import ArrowException, parquet

    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError, ValueError, OverflowError) as error:  # no UTF-8, a date beyond Python's
        raise UserError(f"{path} is not a parquet file that can be read: {error}") from error
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _made_by(text: Any, where: str) -> Any:
    """What `write_parquet` made JSON text of; anything else as it is."""
    try:
        return json.loads(text or "{}") if isinstance(text, str | None) else text
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where} is no trace: its made_by is no JSON ({error}): give a trace file that `predict` wrote."
        ) from error


def _trace(values: Any, where: str) -> Trace:
    if not isinstance(values, dict):
        raise UserError(f"{where} is no trace: give a trace file that `predict` wrote.")
    texts = dict.fromkeys(("problem_id", "question", "gold", "trace"), str)
    for name, kind in {**texts, "correct": bool}.items():
        if not isinstance(values.get(name), kind):
            raise UserError(f"{where} is no trace: it has no {name} ({kind.__name__}).")
    try:
        require_types(values, {}, _MAY_HAVE, "the trace")
        ids = token_ids(values.get("token_ids", ()), "its token_ids")
    except TypeError as error:
        raise UserError(f"{where} is no trace: {error}.") from error
    score = values.get("score", 0)
    if type(score) not in (int, float) or not 0 <= score <= 1:
        raise UserError(f"{where} is no trace: its score is no number from 0 to 1.")
    for name in texts:
        try:
            str(values[name]).encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{where}: {name} holds half a character (a lone surrogate): mend it.") from error
    known = {known.name for known in fields(Trace)}
    given = {name: value for name, value in values.items() if name in known}
    return Trace(**{**given, "token_ids": ids})
