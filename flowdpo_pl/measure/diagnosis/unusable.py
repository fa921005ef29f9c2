"""What could not be judged or computed."""

from __future__ import annotations

from flowdpo_pl.measure.course import Course
from flowdpo_pl.measure.diagnosis.rule import ALMOST_NONE, Told


def not_judged(course: Course) -> Told:
    """An answer without a verdict counts as wrong, so pairs teach the verifier's troubles.

    Threshold: 5 %, at which `FirstChunk` ends a run too.
    """
    share = course.latest.share("judging_errors", "judged_answers")
    if share.low <= ALMOST_NONE:
        return None
    return (
        f"{share.told} of the answers could not be judged and count as wrong",
        "mend or remove such problems (data.invalid: refuse names unreadable golds), or give the "
        "verifier more "
        "time or memory",
    )


def not_finite(course: Course) -> Told:
    """An update whose loss or gradient is not finite is set aside: nothing is learnt from its pairs.

    Threshold: more than 5 % of the batches, and at least three.
    """
    for agent in course.learners:
        aside = course.whole.of(f"{agent}/updates_set_aside")
        if aside >= 3 and course.whole.share_of(aside, course.whole.of("batches")).low > ALMOST_NONE:
            return (
                f"the loss of agent '{agent}' was not finite in {aside:.0f} updates, which were set aside",
                "use bfloat16 or float32 instead of float16 (model.team.base.dtype), or a smaller "
                "model.learning.lr",
            )
    return None
