"""Why isn't it learning? Rules on the numbers of a run, each with its reason and its threshold.

A rule speaks only where the 99 % interval of a share (`course.CERTAIN`) lies wholly beyond its threshold, so
that a run of a few problems, or one in between, is met with silence. Rules are in the order of causes: what
explains a finding that comes later in the list silences it (`Rule.explains`), since a symptom is no second
cause.

Thresholds are what the words mean, not fits to examples: "almost all" is 95 %, "most" is half, "almost none"
is 5 %. docs/learning.md has what each finding means and what to try.
"""

from __future__ import annotations

from flowdpo_pl.measure.course import Course
from flowdpo_pl.measure.diagnosis.choosing import (
    always_finished,
    mass_vanishes,
    never_finished,
    words_unlikely,
)
from flowdpo_pl.measure.diagnosis.endings import (
    always_right,
    cut,
    gold_of_another_kind,
    never_right,
    no_contrast,
    no_mark,
)
from flowdpo_pl.measure.diagnosis.learning import accuracy_falls, chosen_falls, frozen, margins_still
from flowdpo_pl.measure.diagnosis.rule import Finding, Rule
from flowdpo_pl.measure.diagnosis.sampling import alternatives_alike, babble, certain_play, no_alternatives
from flowdpo_pl.measure.diagnosis.unusable import not_finite, not_judged

_ENDINGS = ("never_right", "always_right", "no_contrast")
_PLAYED = ("always_finished", "never_finished", "cut", "no_mark", "gold_of_another_kind", *_ENDINGS)
RULES = (
    Rule(not_judged, ("gold_of_another_kind", *_ENDINGS)),
    Rule(not_finite, ("margins_still",)),
    Rule(accuracy_falls, ("chosen_falls", "certain_play", "mass_vanishes", "alternatives_alike", *_PLAYED)),
    Rule(margins_still),
    Rule(chosen_falls, ("mass_vanishes",)),
    Rule(frozen),
    Rule(certain_play, ("no_alternatives", "no_contrast")),
    Rule(babble, ("words_unlikely", *_PLAYED)),
    Rule(words_unlikely, ("always_finished", "never_finished")),
    Rule(mass_vanishes),
    Rule(no_alternatives, ("no_contrast",)),
    Rule(alternatives_alike, ("no_contrast",)),
    Rule(always_finished, ("no_mark", "gold_of_another_kind", *_ENDINGS)),
    Rule(never_finished, ("cut", "no_mark", *_ENDINGS)),
    Rule(cut, ("no_mark", "gold_of_another_kind", *_ENDINGS)),
    Rule(no_mark, _ENDINGS),
    Rule(gold_of_another_kind, _ENDINGS),
    Rule(never_right, ("no_contrast",)),
    Rule(always_right, ("no_contrast",)),
    Rule(no_contrast),
)
"""In the order of causes."""


def diagnose(course: Course) -> list[Finding]:
    """What keeps the run from learning, causes first; empty where nothing is known to."""
    found: list[Finding] = []
    silent: set[str] = set()
    for rule in RULES:
        if rule.name not in silent and (told := rule.tell(course)) is not None:
            found.append(Finding(rule.name, *told))
            silent.update(rule.explains)
    return found
