"""Trace files of the quickstart's world: short questions with careful solutions."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from flowdpo_pl.results.traces import Trace, to_line
from quickstart.recipe.solutions import careful_solution
from quickstart.recipe.world import draw_stories


def world_traces(count: int, split: str = "train", wrong: int = 0) -> list[Trace]:
    """`count` traces of different questions, the last `wrong` of them marked as not correct."""
    traces: dict[str, Trace] = {}
    for story in draw_stories(split, random.Random(f"traces of {split}")):
        trace = Trace(
            f"{split}-{len(traces)}", story.question, str(story.answer), careful_solution(story), True
        )
        traces.setdefault(story.question, trace)
        if len(traces) == count:
            break
    found = list(traces.values())
    return [replace(trace, correct=n < count - wrong) for n, trace in enumerate(found)]


def write_traces(file: Path, traces: list[Trace]) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(map(to_line, traces)), encoding="utf-8")
    return str(file)
