from __future__ import annotations

import math

import pytest

from callbacks.screen.speed import FEWEST, Speed, amount, duration


class Clock:
    """Stands still until it is set on."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("step", [0.01, 1.0, 90.0])
def test_steady_steps_of_any_length_give_their_speed_and_the_time_that_is_left(step: float) -> None:
    clock = Clock()
    speed = Speed(40, clock)
    assert math.isnan(speed.a_second) and math.isnan(speed.seconds_left(100))
    for done in range(44, 84, 4):
        clock.now += step
        speed.add(done)
    assert speed.a_second == pytest.approx(4 / step)
    assert speed.seconds_left(100) == pytest.approx(20 * step / 4)
    clock.now += step
    assert speed.seconds_left(100) == pytest.approx(20 * step / 4 - step), "it goes by between two steps"
    assert speed.seconds_left(80) == 0.0
    clock.now += 1000 * step
    assert speed.seconds_left(100) == 0.0


def test_it_is_the_speed_of_late() -> None:
    clock = Clock()
    speed = Speed(0, clock)
    for number in range(4 * FEWEST):
        clock.now += 1000 if number < 2 * FEWEST else 60
        speed.add(number + 1)
    assert speed.a_second == pytest.approx(1 / 60)


def test_nothing_that_grows_takes_for_ever() -> None:
    clock = Clock()
    speed = Speed(3, clock)
    clock.now += 1
    speed.add(3)
    assert speed.seconds_left(4) == math.inf


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (59.6, "1:00"),
        (165, "2:45"),
        (43365, "12:02:45"),
        (274200, "3d 04:10"),
        (math.nan, "-:--"),
        (math.inf, "-:--"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0.314, "0.31"), (9.26, "9.3"), (25.4, "25"), (2777.2, "2,777"), (math.nan, "-")]
)
def test_amounts(number: float, text: str) -> None:
    assert amount(number) == text
