"""Learning itself: accuracy, margins, what becomes likelier."""

from __future__ import annotations

from collections.abc import Iterator

from flowdpo_pl.measure.course import Course
from flowdpo_pl.measure.diagnosis.counts import rises
from flowdpo_pl.measure.diagnosis.rule import Told


def accuracy_falls(course: Course) -> Told:
    """Updates that are too large take the agents from text that answers to text that does not.

    Some earlier stretch (of all, so at a level divided by their number) was right more often than the latest
    one, by two intervals that do not meet, although the agents began better. It is not said where the agents
    have hardly moved: then problems have become harder, as in a file that is sorted and not shuffled.
    """
    if not _moved(course):
        return None
    latest = course.latest.share("signs/right", "signs/chains")
    stretches = course.stretches[: len(course.stretches) // 2]
    level = 1 - 0.01 / max(1, len(stretches))
    now = latest.interval_at(level)
    best = max(
        (stretch.share("signs/right", "signs/chains") for stretch in stretches if stretch.of("signs/chains")),
        key=lambda share: share.interval_at(level).low,
        default=None,
    )
    if best is None or best.interval_at(level).low <= now.high:
        return None
    return (
        f"the share of right answers fell from {best.told} to {latest.told}",
        "a smaller model.learning.lr (a third, then a tenth), more problems an update (data.batch_size; of "
        "pairs also model.pairs_per_update), or a larger beta or tau, if the loss has one; if the problems "
        "come in an order of difficulty, shuffle them",
    )


def margins_still(course: Course) -> Told:
    """The margin, how much more the policy prefers the better move than the reference does, starts at 0.

    Threshold: for every agent with a hundred pairs, its upper bound in the latest half, carried on in
    proportion to the end of the run (a margin grows no faster than the updates add up), stays below 0.02
    nats: odds that change by less than 2 % change nothing that is played. The bound is that of a mean over
    stretches (mean + 3 standard errors).
    """
    still = {}
    for agent in course.compared:
        latest = [
            part for part in course.stretches[len(course.stretches) // 2 :] if part.of(f"{agent}/pairs")
        ]
        if len(latest) < 3 or course.whole.of(f"{agent}/pairs") < 100:
            continue
        means = [part.mean(f"{agent}/margin", f"{agent}/pairs") for part in latest]
        mean = sum(means) / len(means)
        error = (sum((value - mean) ** 2 for value in means) / (len(means) - 1) / len(means)) ** 0.5
        to_come = max(1.0, (course.expected or 0) / max(1, course.problems))
        if (abs(mean) + 3 * error) * to_come >= 0.02:
            return None
        still[agent] = mean
    if not still:
        return None
    told = ", ".join(f"{agent} {margin:+.4f}" for agent, margin in still.items())
    return (
        f"margins hardly move ({told} nats in the latest half of the run)",
        "a larger model.learning.lr (three times, then ten times as large); adapters of few parameters "
        "need more",
    )


def chosen_falls(course: Course) -> Told:
    """Better and worse moves both become less likely than they were, the worse ones faster.

    The agents then prefer what was in neither. Threshold: the chosen moves' log-probability against the
    reference is below -1 nat in the latest pairs of every stretch, and falls.
    """
    if rises(course):
        return None
    for agent in course.compared:
        parts = [part for part in course.stretches if part.of(f"{agent}/pairs") >= 10]
        means = [part.mean(f"{agent}/chosen_shift", f"{agent}/pairs") for part in parts]
        half = means[len(means) // 2 :]
        if len(half) >= 3 and max(half) < -1 and sum(half) / len(half) < min(means[: len(means) // 2]):
            return (
                f"the better moves of agent '{agent}' have become less likely themselves, by "
                f"{-sum(half) / len(half):.1f} nats on average",
                "a larger beta or tau (model.learning.loss), a smaller model.learning.lr, or fewer passes",
            )
    return None


def frozen(course: Course) -> Told:
    """A frozen agent's pairs are counted and nothing is learnt from them.

    Threshold: a third of all pairs are its own, as many as an agent among three that matter alike.
    """
    for agent in course.agents:
        pairs = course.whole.share(f"{agent}/pairs", *(f"{each}/pairs" for each in course.agents))
        if agent not in course.learners and course.learners and pairs.low > 1 / 3:
            return (
                f"agent '{agent}' is frozen, but {pairs.told} of the pairs are its own and nothing is learnt "
                "from them",
                f"take '{agent}' out of model.frozen",
            )
    return None


def _moved(course: Course) -> bool:
    """Whether some agent's margin is worth mentioning, or there are no pairs that could show it."""
    margins: Iterator[float] = (
        part.mean(f"{agent}/margin", f"{agent}/pairs")
        for part in course.stretches
        for agent in course.compared
    )
    pairs = [part.of(*(f"{agent}/pairs" for agent in course.compared)) for part in course.stretches[1:]]
    return any(abs(margin) > 0.05 for margin in margins) or not any(pairs)
