"""Cuts traces after their first answer, and judges them anew: what was written on after Stop's No goes.

python -m quickstart.recipe.chains.trim --traces predict/traces.jsonl --out trimmed.jsonl
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonargparse import auto_cli

from flowdpo_pl import MarkedAnswerVerifier
from flowdpo_pl.results.traces import Trace, read_traces, to_line
from quickstart.recipe.chains.grade import first_answer


def trim(traces: Path, out: Path) -> None:
    """Write the traces, each up to the end of its first answer.

    Args:
        traces: a trace file.
        out: the trace file to write.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with MarkedAnswerVerifier() as verifier:
        cut = [_trimmed(trace, verifier) for trace in read_traces(traces)]
    out.write_text("".join(map(to_line, cut)), encoding="utf-8")


def _trimmed(trace: Trace, verifier: MarkedAnswerVerifier) -> Trace:
    text = first_answer(trace.trace)
    verdict = verifier(text, trace.gold)
    values = {"correct": verdict.correct, "score": verdict.score, "extracted": verdict.extracted}
    return replace(trace, trace=text, token_ids=(), **values)


if __name__ == "__main__":
    auto_cli(trim, as_positional=False)
