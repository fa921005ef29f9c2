"""Leaves traces out by how they end, to see what it is in an afterthought that a fine-tuned model learns.

    python -m quickstart.recipe.chains.endings --traces arms/flow.jsonl --out folder

`whole.jsonl` leaves out what breaks off inside a sentence, where Stop said Yes; `brief.jsonl` all that goes
on after its first answer. Nothing is cut: a trace is left out by counting as wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jsonargparse import auto_cli

from flowdpo_pl.results.traces import read_traces, to_line
from quickstart.recipe.chains.grade import first_answer


def endings(traces: Path, out: Path) -> None:
    """Write both files.

    Args:
        traces: a trace file.
        out: the folder to write to.
    """
    read = read_traces(traces)
    kept: dict[str, Callable[[str], bool]] = {"whole": is_whole, "brief": is_brief}
    out.mkdir(parents=True, exist_ok=True)
    for name, keeps in kept.items():
        rows = (one if keeps(one.trace) else replace(one, correct=False, score=0.0) for one in read)
        (out / f"{name}.jsonl").write_text("".join(map(to_line, rows)), encoding="utf-8")


def is_whole(text: str) -> bool:
    """Whether it ends with a sentence."""
    return text.rstrip().endswith(".")


def is_brief(text: str) -> bool:
    """Whether it ends with its first answer."""
    return first_answer(text) == text


if __name__ == "__main__":
    auto_cli(endings, as_positional=False)
