"""What is said of bad input: bounds, long lists, the parser's reports."""

from __future__ import annotations

import math

import pytest
from jsonargparse import ArgumentError, ArgumentParser

from flowdpo_pl.errors import COUNT, LIMIT, Range, UserError, one_sentence, require_within, some_of
from flowdpo_pl.verify.math_verifier import MathVerifier


@pytest.mark.parametrize("value", [1, 1.0, 7, 10**30, None])
def test_a_setting_at_its_bound_or_above_or_left_out_passes(value: float | None) -> None:
    require_within(COUNT, {"data.batch_size": value})


@pytest.mark.parametrize("value", [0, -3, 0.999, math.nan, math.inf, -math.inf])
def test_a_setting_below_its_bound_is_named_with_its_value(value: float) -> None:
    with pytest.raises(UserError) as caught:
        require_within(COUNT, {"data.chunk_size": 5, "data.batch_size": value, "data.other": -1})
    assert str(caught.value) == f"data.batch_size is {value}: give at least 1."


def test_a_bound_may_be_a_fraction() -> None:
    with pytest.raises(UserError, match=r"give at least 0\.5\."):
        require_within(Range(0.5), {"beta": 0.25})


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "told"),
    [
        (Range(0), [0, 5], [-1e-9], "at least 0"),
        (Range(0, open_low=True), [1e-300], [0, -0.0], "more than 0"),
        (Range(0, 1), [0, 1], [-1e-9, 1.001], "at least 0 and at most 1"),
        (Range(0, 0.5, open_high=True), [0, 0.499], [0.5], "at least 0 and less than 0.5"),
        (LIMIT, [1], [0], "at least 1, or null"),
    ],
)
def test_an_open_bound_is_outside_its_range_and_nothing_that_is_not_finite_is_inside(
    allowed: Range, inside: list[float], outside: list[float], told: str
) -> None:
    require_within(allowed, {f"setting {value}": value for value in inside})
    for value in (*outside, math.nan, math.inf, -math.inf):
        with pytest.raises(UserError) as caught:
            require_within(allowed, {"learning.lr": value})
        assert str(caught.value) == f"learning.lr is {value}: give {told}."


@pytest.mark.parametrize(
    ("count", "told"), [(0, ""), (1, "p0"), (3, "p0, p1, p2"), (4, "p0, p1, p2 and 1 more")]
)
def test_of_many_names_the_first_are_told_and_the_rest_counted(count: int, told: str) -> None:
    assert some_of([f"p{n}" for n in range(count)], shown=3) == told


def test_ten_names_are_told_unless_another_number_is_given() -> None:
    names = [f"p{n}" for n in range(30)]
    assert some_of(names[:10]) == ", ".join(names[:10])
    assert some_of(names) == some_of(names[:10]) + " and 20 more"


REPORT = """Parser key "model":
  Problem with given class_path 'x.Loss':
    Parser key "beta":
      Expected a <class 'float'>. Got value: a
"""
UNION = """Parser key "model":
  Does not validate against any of the Union subtypes
  Subtypes: [int, None]
  Errors:
    - Expected a <class 'int'>
    - Expected a <class 'NoneType'>
  Given value: a
"""


@pytest.mark.parametrize(
    ("report", "complaint"),
    [
        (REPORT, "model.beta: expected a number. Got value: a (x.Loss)"),
        (UNION, "model: expected a whole number"),
        ("No such option.\nmore", "No such option"),
    ],
)
def test_the_first_concrete_complaint_is_told_with_the_keys_that_lead_to_it(
    report: str, complaint: str
) -> None:
    assert one_sentence(report) == f"{complaint}; see the verb's --help for what it takes."


def test_a_report_without_a_complaint_is_a_line_all_the_same() -> None:
    assert one_sentence("Errors:\nGiven value: 3") == "Errors:"
    assert one_sentence("") == "the arguments can't be parsed; see --help."


def test_the_installed_parser_s_reports_are_read() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MathVerifier, "verifier")
    with pytest.raises(ArgumentError) as caught:
        parser.parse_args(["--verifier.timeout=soon"])
    sentence = one_sentence(str(caught.value))
    assert "verifier.timeout" in sentence and "soon" in sentence and "\n" not in sentence


def test_what_is_required_is_told_with_where_it_usually_is() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", required=True)
    with pytest.raises(ArgumentError) as caught:
        parser.parse_args([])
    assert one_sentence(str(caught.value)).endswith(
        "required: model; give a config that has them, such as --config configs/quickstart.yaml."
    )
