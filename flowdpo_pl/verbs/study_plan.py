"""What `study --dry_run true` prints: a table of the stages, then the command of each that would run."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WIDTH = 100


@dataclass(frozen=True)
class PlannedStage:
    """A stage under one seed, and what would become of it."""

    name: str
    """Its folder, as the study names it: `seed0/flow_dpo`."""
    state: str
    runs: bool
    why: str
    command: Sequence[str]
    """Program and arguments; places of stages that have not run yet are left as placeholders."""


def plan_lines(stages: Sequence[PlannedStage]) -> Iterator[str]:
    """The plan, line by line."""
    states = Counter(stage.state for stage in stages)
    counted = ", ".join(f"{number} {state}" for state, number in states.items())
    would = sum(stage.runs for stage in stages)
    yield f"{len(stages)} stages ({counted}); {would} would run. Nothing is run now."
    yield ""
    name, state = (max(len(getattr(one, column)) for one in stages) for column in ("name", "state"))
    for stage in stages:
        does = "run" if stage.runs else "keep"
        yield f"  {does:<4}  {stage.name:<{name}}  {stage.state:<{state}}  {stage.why}"
    for stage in stages:
        if stage.runs:
            yield f"\n# {stage.name}"
            yield from _command_lines(stage.command)


def _command_lines(command: Sequence[str]) -> Iterator[str]:
    """A command for a shell, an argument a line where one line is too long."""
    whole = shlex.join(command)
    if len(whole) <= _WIDTH:
        yield whole
        return
    start = next((place for place, word in enumerate(command) if word.startswith("--")), len(command))
    lines = [shlex.join(command[:start]), *(f"    {shlex.quote(word)}" for word in command[start:])]
    yield from (f"{line} \\" for line in lines[:-1])
    yield lines[-1]
