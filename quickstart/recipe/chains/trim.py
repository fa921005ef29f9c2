"""Cuts traces after their first answer: what Answer wrote on after Stop's No goes.

    python -m quickstart.recipe.chains.trim --traces arms/flow.jsonl --out trimmed.jsonl

Nothing is judged anew: a judge that sees more than the world's own would pick the right answers. A
trace whose first answer is not the one that was judged counts as wrong. `arms --trim true` cuts before arms
are made equally many; here it is done behind that, so that a trimmed arm has the traces of the arm beside it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jsonargparse import auto_cli

from flowdpo_pl.results.traces import Trace, read_traces, to_line
from flowdpo_pl.verify.markers import extract_marked
from quickstart.recipe.chains.grade import first_answer


def trim(traces: Path, out: Path) -> None:
    """Write the traces, each up to the end of its first answer.

    Args:
        traces: a trace file.
        out: the trace file to write.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(to_line(_trimmed(trace)) for trace in read_traces(traces)), encoding="utf-8")


def _trimmed(trace: Trace) -> Trace:
    text = first_answer(trace.trace)
    kept = trace.correct and extract_marked(text) == extract_marked(trace.trace)
    return replace(trace, trace=text, token_ids=(), correct=kept, score=float(kept))


if __name__ == "__main__":
    auto_cli(trim, as_positional=False)
