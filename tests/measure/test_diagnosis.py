"""Each cause is named, alone; a healthy course and a short one meet with silence.

Also tests `measure.course`, `measure.diagnosis.rule`, `measure.diagnosis.counts`,
`measure.diagnosis.unusable`, `measure.diagnosis.learning`, `measure.diagnosis.sampling`,
`measure.diagnosis.choosing` and `measure.diagnosis.endings`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from flowdpo_pl.measure.course import Course, Share, Stretch, added
from flowdpo_pl.measure.diagnosis import RULES, diagnose

HEALTHY: Mapping[str, float] = {
    "batches": 2,
    "problems": 64,
    "writer/pairs": 60,
    "writer/ties/both_right": 40,
    "writer/ties/both_wrong": 60,
    "writer/ties/repeated": 0,
    "writer/ties/no_alternative": 0,
    "writer/margin/sum": 60 * 0.5,
    "writer/chosen_shift/sum": 60 * 0.2,
    "writer/updates_set_aside": 0,
    "judge/pairs": 50,
    "judge/ties/both_right": 40,
    "judge/ties/both_wrong": 50,
    "judge/ties/repeated": 0,
    "judge/ties/no_alternative": 10,
    "judge/margin/sum": 50 * 0.8,
    "judge/chosen_shift/sum": 50 * 0.1,
    "judge/updates_set_aside": 0,
    "signs/chains": 64,
    "signs/right": 25,
    "signs/cut": 3,
    "signs/marked": 55,
    "signs/closed_early": 5,
    "signs/nothing_read": 9,
    "signs/right_unread": 1,
    "signs/other_kind": 0,
    "signs/written_tokens": 1500,
    "signs/written_nats": 300,
    "signs/endings": 360,
    "signs/endings_right": 130,
    "signs/written_forks": 160,
    "signs/same_text": 8,
    "signs/better_finished": 20,
    "signs/better_going_on": 30,
    "chooser/nodes/none": 70,
    "chooser/finished/none": 10,
    "chooser/nodes/wrong": 50,
    "chooser/finished/wrong": 35,
    "chooser/nodes/right": 35,
    "chooser/finished/right": 25,
    "judged_answers": 360,
    "judging_errors": 2,
    "choice_mass/sum": 63.0,
    "choice_mass/problems": 64,
}
"""Two batches of a run as it should be."""
ALL_WRONG = {"signs/right": 0, "signs/endings_right": 0, "writer/pairs": 0, "judge/pairs": 0}
ALWAYS = {"chooser/finished/none": 70, "chooser/finished/wrong": 50, "chooser/finished/right": 35}
NEVER = dict.fromkeys(ALWAYS, 0)
BROKEN: Mapping[str, Mapping[str, float]] = {
    "not_judged": {"judging_errors": 100},
    "not_finite": {"writer/updates_set_aside": 2},
    "margins_still": {"writer/margin/sum": 60 * 1e-4, "judge/margin/sum": 50 * 2e-4},
    "certain_play": {"signs/written_nats": 2},
    "babble": {"signs/written_nats": 9000, **ALL_WRONG, "signs/cut": 64},
    "words_unlikely": {"choice_mass/sum": 0.4},
    "no_alternatives": {
        "judge/pairs": 0,
        "judge/ties/both_right": 0,
        "judge/ties/both_wrong": 1,
        "judge/ties/repeated": 0,
        "judge/ties/no_alternative": 200,
    },
    "alternatives_alike": {"signs/same_text": 130},
    "always_finished": {**ALWAYS, "signs/closed_early": 55, **ALL_WRONG, "signs/nothing_read": 60},
    "never_finished": {**NEVER, "signs/cut": 64},
    "cut": {"signs/cut": 60, "signs/right": 3, "signs/nothing_read": 60, "chooser/nodes/right": 2, **NEVER},
    "no_mark": {**ALL_WRONG, "signs/nothing_read": 64, "signs/right_unread": 20},
    "gold_of_another_kind": {**ALL_WRONG, "signs/other_kind": 55},
    "never_right": ALL_WRONG,
    "always_right": {"signs/right": 64, "signs/endings_right": 359},
    "no_contrast": {"writer/pairs": 0, "judge/pairs": 0},
}
"""What else is so, by what is to be said of it."""


def course_of(*stretches: Mapping[str, float], expected: int | None = None) -> Course:
    return Course(tuple(Stretch({**HEALTHY, **changed}) for changed in stretches), expected)


def said_of(course: Course) -> list[str]:
    return [finding.name for finding in diagnose(course)]


def test_a_healthy_run_is_met_with_silence() -> None:
    assert said_of(course_of({}, {}, {}, {}, {}, {})) == []
    assert said_of(Course(())) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_cause_is_named_alone(name: str) -> None:
    (found,) = diagnose(course_of(*[BROKEN[name]] * 12))
    assert found.name == name and found.sentence and found.advice
    assert not found.sentence.endswith(".") and "\n" not in found.sentence + found.advice


def test_every_rule_is_tried_here() -> None:
    in_time = {"accuracy_falls", "chosen_falls", "mass_vanishes", "frozen"}
    assert {rule.name for rule in RULES} == BROKEN.keys() | in_time
    for rule in RULES:
        assert set(rule.explains) <= {other.name for other in RULES}
        assert (rule.tell.__doc__ or "").count("\n\n") >= 1, "what, and why there"


@pytest.mark.parametrize("name", BROKEN)
def test_a_few_problems_say_nothing(name: str) -> None:
    """All counts of a single stretch but a twentieth of them: three problems."""
    few = {key: value / 20 for key, value in {**HEALTHY, **BROKEN[name]}.items()}
    told = said_of(Course((Stretch(few),)))
    assert told == [], "an interval over three problems reaches everywhere"


def test_accuracy_that_falls_is_no_base_that_is_never_right() -> None:
    fallen = {**ALL_WRONG, "signs/nothing_read": 64, "choice_mass/sum": 0.3}
    assert said_of(course_of({}, *[fallen] * 5)) == ["accuracy_falls"]


def test_harder_problems_are_no_fault_of_agents_that_have_not_moved() -> None:
    still = {"writer/margin/sum": 0.0, "judge/margin/sum": 0.0}
    harder = {**still, "signs/right": 8}
    assert "accuracy_falls" not in said_of(course_of(still, still, still, harder, harder, harder))


def test_a_dip_that_chance_explains_is_none() -> None:
    rights = (25, 30, 22, 28, 20, 21)
    assert said_of(course_of(*({"signs/right": right} for right in rights))) == []


def test_answers_that_are_whole_may_always_be_finished() -> None:
    whole = {**ALWAYS, "signs/closed_early": 0, "signs/better_finished": 30, "signs/better_going_on": 3}
    assert said_of(course_of(*[whole] * 6)) == []
    better = {**whole, "signs/better_finished": 3, "signs/better_going_on": 30}
    assert said_of(course_of(*[better] * 6)) == ["always_finished"]


def test_margins_have_until_the_end_of_the_run_to_grow() -> None:
    small = {"writer/margin/sum": 60 * 0.004, "judge/margin/sum": 50 * 0.004}
    assert said_of(course_of(*[small] * 6)) == ["margins_still"]
    assert said_of(course_of(*[small] * 6, expected=10 * 6 * 64)) == []


def test_margins_that_one_agent_moves_are_not_still() -> None:
    assert said_of(course_of(*[{"writer/margin/sum": 0.0}] * 6)) == []


def test_without_a_reference_nothing_is_said_of_margins() -> None:
    compared = ("margin", "chosen_shift")
    unknown = {key: value for key, value in HEALTHY.items() if not any(word in key for word in compared)}
    assert said_of(Course((Stretch(unknown),) * 6)) == []
    falling = [{**unknown, "signs/right": 60.0 - 10 * step} for step in range(6)]
    assert "accuracy_falls" in said_of(Course(tuple(map(Stretch, falling))))


def test_a_frozen_agent_is_named_where_it_matters() -> None:
    learnt = ("judge/margin/sum", "judge/chosen_shift/sum", "judge/updates_set_aside")
    sums = {key: value for key, value in HEALTHY.items() if key not in learnt}
    assert said_of(Course((Stretch(sums),) * 6)) == ["frozen"]
    seldom = {**sums, "judge/pairs": 3.0}
    assert said_of(Course((Stretch(seldom),) * 6)) == [], "it hardly has any pairs"


def test_better_moves_that_become_less_likely() -> None:
    falling = ({"writer/chosen_shift/sum": -60.0 * step} for step in range(6))
    assert said_of(course_of(*falling)) == ["chosen_falls"]


def test_words_that_are_lost_on_the_way() -> None:
    assert said_of(course_of({}, {}, {}, {"choice_mass/sum": 1.0})) == ["mass_vanishes"]


def test_what_changes_while_more_answers_are_right_is_in_nobodys_way() -> None:
    """The quickstart with lr 1e-2 goes from 28 to 94 % right while the words' probability falls to 4 %."""
    rising = [{"signs/right": 10.0 + 8 * step} for step in range(6)]
    lost = [{**part, "choice_mass/sum": 60.0 if step == 0 else 1.0} for step, part in enumerate(rising)]
    certain = [{**part, "signs/written_nats": 2.0 if step else 300.0} for step, part in enumerate(rising)]
    falling = [{**part, "writer/chosen_shift/sum": -60.0 * step} for step, part in enumerate(rising)]
    for parts in (rising, lost, certain, falling):
        assert said_of(course_of(*parts)) == []


def test_play_that_has_become_certain_is_not_put_down_to_the_temperature() -> None:
    (found,) = diagnose(course_of({}, *[{"signs/written_nats": 2}] * 5))
    assert found.name == "certain_play" and "temperature" not in found.advice


def test_a_share_has_an_interval() -> None:
    nothing, half = Share(0, 0, 0), Share(5, 10, 10)
    assert (nothing.low, nothing.high, nothing.told) == (0, 1, "unknown")
    assert half.low < 0.5 < half.high
    assert Share(50, 100, 10).interval == pytest.approx(half.interval), (
        "ten answers a problem that agree are one"
    )


def test_stretches_add_up() -> None:
    whole = added([Stretch({"a": 1, "b": 2}), Stretch({"b": 3})])
    assert (whole.of("a"), whole.of("b"), whole.of("a", "b", "c")) == (1, 5, 6)
    course = course_of({}, {}, {})
    assert course.agents == course.learners == ("writer", "judge") and course.problems == 192
