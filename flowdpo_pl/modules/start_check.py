"""What is looked at when a `fit` starts, and by the verb `check`: does what the run rests on hold?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flowdpo_pl.data.problem_stream import ProblemStream
from flowdpo_pl.learn.probe_update import probe_update
from flowdpo_pl.play.players import Players
from flowdpo_pl.types import Agent, Problem
from flowdpo_pl.verify.probe import probe_verifier
from flowdpo_pl.verify.verifier import Verifier
from flowdpo_pl.visible import visible_line

_GOLDS = 16
"""Gold answers that the verifier is tried on."""
_COPIES = 6
"""Checkpoints that lie in a run's folder at most, as configs have it: three, `last`, `best`, and one being
written."""
_FLOATS = 4
"""Of four bytes for each weight of an adapter: itself and Adam's two in a checkpoint, itself in PEFT's
format."""


class Level(StrEnum):
    """How bad it is."""

    GOOD = "good"
    DOUBTFUL = "look"
    """A run may be meant so; it is told."""
    WRONG = "wrong"
    """A run would be worth nothing; it is refused."""


@dataclass(frozen=True)
class Found:
    """What one probe says."""

    level: Level
    sentence: str
    """With what to do, where it is not good."""


@dataclass(frozen=True)
class Start:
    """A run that is about to begin."""

    players: Players
    learners: Sequence[Agent]
    at_reference: Sequence[Agent]
    """Of the learners, those who begin as their reference: their first margin is 0."""
    verifier: Verifier
    problems: Sequence[Problem]
    """The first ones."""
    stream: ProblemStream | None
    """Where they come from."""
    folder: Path | None
    """Of the run; None where nothing is written."""


def look(start: Start) -> Iterator[Found]:
    """What every probe says, each a sentence."""
    yield from _updates(start)
    yield from _verifier(start)
    if start.stream is not None:
        yield admitted(start.stream)
    if start.folder is not None:
        yield room_in(start.folder, start.players)


def _updates(start: Start) -> Iterator[Found]:
    for agent in start.learners if start.problems else ():
        probed = probe_update(start.players, agent, start.problems[0])
        if probed.missed or probed.reached:
            what = f"{len(probed.missed)} weights of its adapter get no gradient" if probed.missed else ""
            other = f"{len(probed.reached)} weights that are not its own get one" if probed.reached else ""
            names = (*probed.missed, *probed.reached)
            yield Found(
                Level.WRONG,
                f"the update of agent '{agent}' is not its adapter's alone: "
                f"{' and '.join(filter(None, (what, other)))}, "
                f"{names[0]} first; set model.team.lora.target_modules to layers that the base uses",
            )
        elif agent in start.at_reference and not abs(probed.margin) <= probed.rounding:
            yield Found(
                Level.WRONG,
                f"agent '{agent}' does not begin as its reference: its first margin is "
                f"{probed.margin:+.2g} nats, not 0; "
                "look at model.team.start and at what else changes its adapter",
            )
        else:
            first = f", first margin {probed.margin:.1g}" if agent in start.at_reference else ""
            yield Found(
                Level.GOOD, f"agent '{agent}': all weights of its adapter and no others get gradients{first}"
            )


def _verifier(start: Start) -> Iterator[Found]:
    by_gold: dict[str, Problem] = {}
    for problem in start.problems:
        by_gold.setdefault(problem.gold, problem)
    golds = list(by_gold.values())[:_GOLDS]
    if not golds:
        return
    probed = probe_verifier(start.verifier, golds)
    shown = visible_line(repr(probed.not_right[0])) if probed.not_right else ""
    if len(probed.errors) == len(golds):
        yield Found(
            Level.WRONG,
            f"the verifier can judge none of {len(golds)} gold answers ({visible_line(probed.errors[0])}): "
            "mend what model.verifier names, or what it reads of the data",
        )
    elif not probed.mark:
        yield Found(
            Level.DOUBTFUL,
            f"the verifier calls none of {len(golds)} gold answers right, in whatever mark they are "
            f"({shown} first): look "
            "at model.verifier and at data.train.answer_field and gold",
        )
    elif probed.not_right:
        yield Found(
            Level.DOUBTFUL,
            f"the verifier does not call {len(probed.not_right)} of {len(golds)} gold answers right "
            "against themselves "
            f"({shown} first): look at data.train.gold and at how these are written",
        )
    elif probed.right_for_another:
        other, gold = (visible_line(repr(text)) for text in probed.right_for_another[0])
        yield Found(
            Level.DOUBTFUL,
            f"the verifier calls {other} right where the gold answer is {gold}: look at model.verifier",
        )
    else:
        mark = f", and wants a mark such as {probed.mark.format('N')!r}" if probed.wants_mark else ""
        yield Found(Level.GOOD, f"the verifier tells {len(golds)} gold answers from others{mark}")


def admitted(stream: ProblemStream) -> Found:
    """The share of the rows met that are played."""
    met, skipped = stream.problems_met, stream.skipped.total()
    told = f"{met - skipped} of {met} problems met are admitted"
    if skipped <= met / 2:
        return Found(Level.GOOD, told)
    (reason, count), *_ = stream.skipped.most_common()
    return Found(
        Level.DOUBTFUL,
        f"{told} ({count} {reason}): look at data.train's fields, or at the room that chunks leave for "
        "questions",
    )


def room_in(folder: Path, players: Players) -> Found:
    """Whether the disk has room for a run's checkpoints and adapters."""
    weights = sum(p.numel() for agent in players.agents.names for p in players.agents.parameters_of(agent))
    one = weights * _FLOATS * 4
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    told = f"{folder} has {_size(free)} free, and checkpoints take up to {_size(_COPIES * one)}"
    if free < 2 * one:
        return Found(
            Level.WRONG, f"{told}: make room, or set trainer.logger.init_args.save_dir to another disk"
        )
    if free < _COPIES * one:
        return Found(
            Level.DOUBTFUL, f"{told}: make room, or keep fewer (keep_last of callbacks.AdapterCheckpoint)"
        )
    return Found(Level.GOOD, told)


def _size(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e8 else f"{number / 1e6:,.1f} MB"
