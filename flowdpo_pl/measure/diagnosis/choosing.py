"""What a chooser says: words that are unlikely, always the same one."""

from __future__ import annotations

from flowdpo_pl.measure.course import Course, Stretch
from flowdpo_pl.measure.diagnosis.counts import finished, rises
from flowdpo_pl.measure.diagnosis.rule import ALMOST_NONE, MOST, Told


def words_unlikely(course: Course) -> Told:
    """Its words are compared alone, however little the model would say any: then all are noise.

    Threshold: a tenth. A chooser that understands its question leaves nearly all to its words.
    It is looked at as the agents began, since only the difference of the words is learnt.
    """
    if not course.stretches or course.stretches[0].of("choice_mass/problems") < 10:
        return None
    mass = course.stretches[0].mean("choice_mass", "choice_mass/problems")
    if mass >= 0.1:
        return None
    return (
        f"the words to choose from have a probability of {mass:.3f} together: the model would say "
        "something else",
        "a prompt that asks for just these words, other words (`options`: with or without a capital or a "
        "space before), "
        "or the chat template of the base",
    )


def mass_vanishes(course: Course) -> Told:
    """A chooser that began with its words in mind and has lost them has been changed more than its choice.

    Threshold: from more than a half to less than a twentieth. It is not said while more and more answers are
    right: the difference of the words is all that is played, and it may be well learnt with little left for
    both.
    """
    if len(course.stretches) < 3:
        return None
    parts = (course.stretches[0], course.stretches[-1])
    first, now = (part.mean("choice_mass", "choice_mass/problems") for part in parts)
    if first <= MOST or now >= ALMOST_NONE or not course.stretches[-1].of("choice_mass/problems"):
        return None
    if rises(course):
        return None
    return (
        f"the probability of the words to choose from fell from {first:.2f} to {now:.3f}",
        "a smaller model.learning.lr for the agent that chooses (model.agent_learning), or a larger "
        "beta or tau",
    )


def always_finished(course: Course) -> Told:
    """A chooser that says finished whatever it reads ends answers before they are one.

    At least three in four times finished, on drafts without a result as on others; and that is a fault: most
    answers are closed in the middle of a move and carry no mark, or where it was tried, going on was better
    more often than finishing.
    """
    at_all = finished(course.latest, "none", "wrong", "right")
    without = finished(course.latest, "none")
    early = course.latest.share("signs/closed_early", "signs/chains")
    if at_all.low < 0.75 or without.low < 0.75:
        return None
    if early.low <= MOST and not _going_on_is_better(course.latest):
        return None
    return (
        f"the agent that chooses says finished in {at_all.told} of cases, whatever the draft holds",
        "a prompt that asks whether the draft states the final answer, its options in the right order "
        "(the first means "
        "finished), or longer chunks",
    )


def never_finished(course: Course) -> Told:
    """A chooser that never says finished drives answers that were right into the limit.

    Almost never finished, at drafts that hold the right result too (there at most one in ten).
    """
    at_all = finished(course.latest, "none", "wrong", "right")
    at_right = finished(course.latest, "right")
    if at_all.high > ALMOST_NONE or at_right.whole < 20 or at_right.high > 0.1:
        return None
    return (
        f"the agent that chooses says finished in {at_all.told} of cases, and in {at_right.told} where "
        "the draft is right",
        "a prompt that asks whether the draft states the final answer, and its options in the right "
        "order (the first "
        "means finished)",
    )


def _going_on_is_better(part: Stretch) -> bool:
    pairs = part.share("signs/better_going_on", "signs/better_going_on", "signs/better_finished")
    return pairs.low > MOST
