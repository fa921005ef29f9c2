"""The verb `arms`: trace files that are made alike, in the same number, ready for SFT."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.data.problem_stream import ProblemStream
from flowdpo_pl.data.questions import question_key
from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.fair_arms import FairArms, fair_arms
from flowdpo_pl.results.first_answer import cut_after_first_answer
from flowdpo_pl.results.kept_problems import SHARED, Keep
from flowdpo_pl.results.traces import Trace, read_traces, to_line


def arms(
    traces: dict[str, Path],
    output: Path,
    unfiltered: str | None = "ground_truth",
    limit: int | None = None,
    stream: ProblemSource | None = None,
    test: ProblemSource | None = None,
    seed: int = 0,
    keep: Keep = SHARED,
    trim: bool = False,
) -> None:
    """Cut trace files to as many right traces, by default on the problems that each has a right trace for.

    Writes `<output>/<arm>.jsonl` for each arm, `<output>/<unfiltered>_unfiltered.jsonl` with as many right
    traces of one arm on unfiltered problems, and `<output>/arms.json` with what dropped and what was spent.

    Args:
        traces: trace file of each arm, by arm.
        output: the folder to write to.
        unfiltered: the arm that is written on unfiltered problems too; null: none.
        limit: at most so many problems, drawn at random; null: no bound.
        stream: the problems that the flow was trained on; problems among them are counted and named.
        test: the problems that the arms will be tested on; a problem among them is refused.
        seed: of what is drawn.
        keep: which problems an arm keeps: flowdpo_pl.KeepShared, those that every arm solved, or
            flowdpo_pl.KeepSolved, those that it solved itself.
        trim: cut every trace after its first marked answer, first of all; one whose first answer is not the
            one that was judged counts as wrong.
    """
    whole = {name: read_traces(path) for name, path in traces.items()}
    read = {name: [cut_after_first_answer(one) if trim else one for one in whole[name]] for name in whole}
    fair = fair_arms(read, unfiltered, limit, seed, keep)
    written = {**fair.arms, **({f"{unfiltered}_unfiltered": fair.unfiltered} if unfiltered else {})}
    if test is not None and (ids := among(written, test, "test")):
        raise UserError(
            f"problems of the arms are in the test set {test.path}: {some_of(ids)}; leave them out."
        )
    overlap = among(written, stream, "stream") if stream is not None else None
    for name, rows in written.items():
        with whole_file(output / f"{name}.jsonl") as partial:
            partial.write_text("".join(map(to_line, rows)), encoding="utf-8")
    facts = report(fair, traces, limit, seed, overlap)
    if trim:
        facts["trimmed"] = {name: trimming(whole[name], read[name]) for name in read}
    with whole_file(output / "arms.json") as partial:
        partial.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    for line in told(fair, overlap):
        print(line)
    for name, counts in facts.get("trimmed", {}).items():
        print(f"{name}: {counts['cut']} traces cut after their first answer, {counts['wrong']} wrong since")
    for name in written:
        print(output / f"{name}.jsonl")
    print(output / "arms.json")
    first = shlex.quote(f"[{output / f'{next(iter(written))}.jsonl'}]")
    print(f"next: python -m flowdpo_pl fit --config SFT.yaml --data.train={first}, and so for each arm")


def report(
    fair: FairArms, traces: Mapping[str, Path], limit: int | None, seed: int, overlap: Sequence[str] | None
) -> dict[str, Any]:
    """What `arms.json` holds; `overlap` null: no stream was given, so nobody knows."""
    counts = {
        name: {"file": str(traces[name]), **asdict(arm), "acceptance": arm.acceptance}
        for name, arm in fair.counts.items()
    }
    return {
        "problems": {"offered": fair.offered, "right_in_every_arm": fair.shared, "kept": fair.kept},
        "limit": limit,
        "seed": seed,
        "arms": counts,
        "in_the_flow_s_stream": None if overlap is None else {"count": len(overlap), "ids": list(overlap)},
    }


def trimming(whole: Sequence[Trace], cut: Sequence[Trace]) -> dict[str, int]:
    """How many traces were cut, and how many of these are wrong since."""
    changed = [after for before, after in zip(whole, cut, strict=True) if before.trace != after.trace]
    return {"cut": len(changed), "wrong": sum(not trace.correct for trace in changed)}


def told(fair: FairArms, overlap: Sequence[str] | None) -> list[str]:
    """The same in a few lines."""
    lines = [
        f"{fair.offered} problems, {fair.shared} right in every arm, {fair.kept} kept in each",
        *(
            f"{name}: {arm.right} of {arm.problems} right ({arm.acceptance:.1%}), {arm.missing} missing; "
            f"{arm.attempts} attempts, {arm.generated_tokens} tokens"
            for name, arm in fair.counts.items()
        ),
    ]
    if overlap is not None:
        lines.append(f"{len(overlap)} of the problems are in the flow's stream")
    return lines


def among(written: Mapping[str, Sequence[Trace]], source: ProblemSource, key: str) -> list[str]:
    """Ids of the traces whose question is one of the source's."""
    stream = ProblemStream(source, key=key)
    questions = {question_key(problem.question) for batch in stream.batches() for problem in batch}
    found = {
        trace.problem_id: None
        for rows in written.values()
        for trace in rows
        if question_key(trace.question) in questions
    }
    return list(found)
