"""The course keeps all of a run in few stretches, whatever its length, and across a resume."""

from __future__ import annotations

import math

import pytest

from flowdpo_pl.measure.course import added
from flowdpo_pl.results.run_course import RunCourse, sums_of


def batch(number: int) -> dict[str, float]:
    return {
        "problems": 8.0,
        "writer/pairs": float(number % 3),
        "writer/margin": number / 10 if number % 3 else math.nan,
        "judged_answers": 20.0,
        "choice_mass": 0.5,
        "generated_tokens_per_second": 100.0,
        "writer/updates_set_aside": 1.0,
    }


def test_of_a_batch_counts_stay_and_means_are_weighed() -> None:
    assert sums_of(batch(4)) == {
        "batches": 1.0,
        "problems": 8.0,
        "writer/pairs": 1.0,
        "writer/margin/sum": pytest.approx(0.4),
        "judged_answers": 20.0,
        "choice_mass/sum": 4.0,
        "choice_mass/problems": 8.0,
        "writer/updates_set_aside": 1.0,
    }
    assert "writer/margin/sum" not in sums_of(batch(3)), "unknown is not 0"


def test_an_agent_without_pairs_or_reference_learns_all_the_same() -> None:
    course = RunCourse()
    course.add({**batch(4), "writer/margin": math.nan})
    assert course.seen(None).learners == ("writer",) and course.seen(None).compared == ()


@pytest.mark.parametrize("batches", [1, 2, 31, 33, 34, 200, 1000])
def test_nothing_is_lost_and_the_first_batch_stays_alone(batches: int) -> None:
    course = RunCourse()
    for number in range(batches):
        course.add(batch(number))
    seen = course.seen(None)
    assert len(seen.stretches) <= 33 and seen.stretches[0].of("batches") == 1
    total = added([type(seen.stretches[0])(sums_of(batch(number))) for number in range(batches)])
    assert seen.whole.sums == pytest.approx(total.sums)
    sizes = [stretch.of("batches") for stretch in seen.stretches[1:]]
    assert max(sizes, default=1) <= 2 * min(sizes[:-1], default=1)


def test_a_resume_goes_on_with_it() -> None:
    whole, first, second = RunCourse(), RunCourse(), RunCourse()
    for number in range(50):
        whole.add(batch(number))
    for number in range(30):
        first.add(batch(number))
    second.load_state_dict(first.state_dict())
    for number in range(30, 50):
        second.add(batch(number))
    assert whole.seen(7) == second.seen(7)
    assert first.seen(7) != second.seen(7)


def test_its_findings_are_those_of_the_course() -> None:
    course = RunCourse()
    for _ in range(8):
        course.add({"problems": 32.0, "judged_answers": 100.0, "judging_errors": 50.0})
    assert [finding.name for finding in course.findings(None)] == ["not_judged"]
