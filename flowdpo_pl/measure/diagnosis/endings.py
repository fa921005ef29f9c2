"""How answers end, and whether right ones and wrong ones meet."""

from __future__ import annotations

from flowdpo_pl.measure.course import Course
from flowdpo_pl.measure.diagnosis.counts import finished, fork_names
from flowdpo_pl.measure.diagnosis.rule import ALMOST_ALL, ALMOST_NONE, MOST, Told


def cut(course: Course) -> Told:
    """An answer that the limit cuts off in the middle has not said its result.

    Most main chains are cut, and most of these hold no result (few of all are right).
    """
    cut_off = course.latest.share("signs/cut", "signs/chains")
    right = course.latest.share("signs/right", "signs/chains")
    if (
        cut_off.low <= MOST
        or right.high >= MOST
        or finished(course.latest, "right").whole > 0.2 * cut_off.whole
    ):
        return None
    return (
        f"{cut_off.told} of the answers are cut off by the limit of the flow, and {right.told} are right",
        "more or longer chunks (max_chunks, chunk_tokens; max_tokens of a single model), or a prompt "
        "that asks for a "
        "short answer",
    )


def no_mark(course: Course) -> Told:
    """A verifier that wants a mark finds no answer in a text without one, right or wrong.

    It finds none in almost all answers, and almost none is right.
    """
    nothing = course.latest.share("signs/nothing_read", "signs/chains")
    if nothing.low < 0.9 or not _never_right(course):
        return None
    unread = course.latest.share("signs/right_unread", "signs/chains")
    held = f", though {unread.told} hold the right one" if unread.part else ""
    return (
        f"the verifier finds no answer in {nothing.told} of what is written{held}",
        "a prompt that asks for the mark that the verifier wants (such as 'The answer is N'), or "
        "flowdpo_pl.MathVerifier, "
        "which wants none",
    )


def gold_of_another_kind(course: Course) -> Told:
    """Answers and golds that are written in different ways, numbers here and words there, are never equal.

    Almost all answers are wrong, and in almost all of these one of the two is a number and the other is none.
    """
    chains, right = course.latest.of("signs/chains"), course.latest.of("signs/right")
    read = chains - right - course.latest.of("signs/nothing_read")
    other = course.latest.share_of(course.latest.of("signs/other_kind"), max(0.0, read))
    if other.low < 0.8 or not _never_right(course):
        return None
    return (
        f"{other.told} of the wrong answers are of another kind than the gold (a number against none), "
        "and almost none "
        "is right",
        "another answer_field or rule to read the gold (data.train.gold), golds in the form that the "
        "prompt asks for, or "
        "a prompt that asks for the form of the golds",
    )


def never_right(course: Course) -> Told:
    """Where all endings are wrong there are no pairs.

    Almost all endings, of main chains and alternatives, are wrong.
    """
    endings = course.latest.share("signs/endings_right", "signs/endings")
    if not _never_right(course):
        return None
    return (
        f"{endings.told} of all answers are right, so hardly any pairs come",
        "easier problems, a stronger base, a better prompt, or a warm start (model.team.start, after "
        "fine-tuning); and "
        "look at samples/ and at what the golds are",
    )


def always_right(course: Course) -> Told:
    """Where all endings are right there are no pairs.

    Almost all endings, of main chains and alternatives, are right.
    """
    endings = course.latest.share("signs/endings_right", "signs/endings")
    if endings.low <= ALMOST_ALL:
        return None
    return (
        f"{endings.told} of all answers are right, so hardly any pairs come",
        "harder problems; or the run has learnt what these can teach",
    )


def no_contrast(course: Course) -> Told:
    """A fork whose two endings are alike teaches nothing, even where some problems are right and others
    wrong.

    Pairs are less than one in fifty forks, of at least two hundred.
    """
    forks = [name for agent in course.agents for name in fork_names(agent)]
    found = course.latest.of(*(f"{agent}/pairs" for agent in course.agents))
    pairs = course.latest.share_of(found, course.latest.of(*forks))
    if pairs.whole < 200 or pairs.high >= 0.02:
        return None
    return (
        f"{pairs.told} of the alternatives change whether the answer is right",
        "a higher temperature, or whole trajectories (model.exploration): what is tried differs too little",
    )


def _never_right(course: Course) -> bool:
    """Almost: in all of the run, or in its latest half."""
    parts = (course.whole, course.latest)
    return any(part.share("signs/endings_right", "signs/endings").high < ALMOST_NONE for part in parts)
