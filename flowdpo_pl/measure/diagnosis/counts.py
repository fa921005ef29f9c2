"""Numbers of a run that several rules read."""

from __future__ import annotations

from flowdpo_pl.measure.course import Course, Share, Stretch, added
from flowdpo_pl.types import Tie


def fork_names(agent: str) -> list[str]:
    """Numbers of its nodes where two moves were compared."""
    return [f"{agent}/pairs", f"{agent}/ties/{Tie.BOTH_RIGHT}", f"{agent}/ties/{Tie.BOTH_WRONG}"]


def finished(part: Stretch, *held: str) -> Share:
    """How often the chooser said finished of drafts that held one of these."""
    return part.share_of(
        part.of(*(f"chooser/finished/{kind}" for kind in held)),
        part.of(*(f"chooser/nodes/{kind}" for kind in held)),
    )


def rises(course: Course) -> bool:
    """Whether the latest half has more right answers than the one before: then nothing is in the way of
    that."""
    before = added(course.stretches[: len(course.stretches) // 2])
    shares = [part.share("signs/right", "signs/chains") for part in (before, course.latest)]
    return shares[0].whole > 0 and shares[1].part * shares[0].whole > shares[0].part * shares[1].whole
