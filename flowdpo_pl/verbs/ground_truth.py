"""The verb `ground_truth`: a data set's own solutions as a trace file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flowdpo_pl.data.problem_source import ProblemSource, read_problem
from flowdpo_pl.data.problem_stream import ProblemStream
from flowdpo_pl.data.solutions import NoSolutionError, Solution
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.traces import Trace, to_line
from flowdpo_pl.types import Problem
from flowdpo_pl.verify.chosen import chosen_verifier
from flowdpo_pl.verify.verifier import Verifier


@dataclass(frozen=True)
class LeftOut:
    """A problem without a ground-truth trace."""

    problem_id: str
    reason: str


def ground_truth(
    source: ProblemSource, solution: Solution, output: Path, verifier: Verifier | str | None = None
) -> None:
    """Write a trace for every problem whose row holds a worked solution that is right.

    `<output>/traces.jsonl` has the traces, `<output>/left_out.jsonl` the problems without one and why.

    Args:
        source: the problems.
        solution: how a row gives its solution, such as flowdpo_pl.WorkedSolution.
        output: the folder to write to.
        verifier: judges the solutions as it judges an agent's: a class such as flowdpo_pl.MathVerifier (the
            default, with one worker process), or the dotted name of a function.

    Raises:
        UserError: the source can't be read, or no problem has a right solution.
    """
    judge = chosen_verifier("verifier", verifier)
    stream = ProblemStream(source, key="source", readable=judge.reads_gold)
    found = list(_judged(stream, solution, judge))
    traces = [trace for trace in found if isinstance(trace, Trace)]
    left_out = [problem for problem in found if isinstance(problem, LeftOut)]
    if not traces:
        reason = left_out[0].reason if left_out else "there is no problem"
        raise UserError(f"no row of {source.path} gives a right solution ({reason}): set solution.field.")
    if stream.skipped:
        told = ", ".join(f"{count} {reason}" for reason, count in stream.skipped.most_common())
        print(f"{source.path}: {stream.skipped.total()} rows skipped ({told})")
    for name, lines in (
        ("traces.jsonl", map(to_line, traces)),
        ("left_out.jsonl", (json.dumps(asdict(problem)) + "\n" for problem in left_out)),
    ):
        with whole_file(output / name) as partial:
            partial.write_text("".join(lines), encoding="utf-8")
    print(f"{len(traces):,} traces, {len(left_out):,} problems left out")
    print(output / "traces.jsonl")
    if left_out:
        print(output / "left_out.jsonl")


def _judged(stream: ProblemStream, solution: Solution, verifier: Verifier) -> Iterator[Trace | LeftOut]:
    made_by = {"solution": {"class": type(solution).__name__, **asdict(solution)}}  # type: ignore[call-overload]
    rows = _rows(stream.source)
    waiting = []
    for problem in (problem for batch in stream.batches() for problem in batch):
        try:
            text = solution(rows[problem.id, problem.question], problem.gold)
        except NoSolutionError as error:
            yield LeftOut(problem.id, str(error))
        else:
            trace = Trace(problem.id, problem.question, problem.gold, text, False, made_by=made_by)
            waiting.append((trace, verifier.submit(text, problem)))
    for trace, future in waiting:
        verdict = future.result()
        if verdict.correct:
            right = replace(trace, correct=True, score=verdict.score, extracted=verdict.extracted)
            yield replace(right, source="ground_truth")
        elif verdict.error is not None:
            yield LeftOut(trace.problem_id, f"not judged: {verdict.error}")
        else:
            yield LeftOut(trace.problem_id, f"judged wrong: {verdict.extracted} instead of {trace.gold}")


def _rows(source: ProblemSource) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """The source's rows by id and question of the problem that they hold; of repeated ones the first."""
    rows: dict[tuple[str, str], Mapping[str, Any]] = {}
    for chunk in source.open().chunks(160, None):
        for row in chunk:
            if isinstance(problem := read_problem(row, source), Problem):
                rows.setdefault((problem.id, problem.question), row.values)
    return rows
