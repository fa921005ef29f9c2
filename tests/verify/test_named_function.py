"""Functions are found by name, or refused in one sentence before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.verify.named_function import load_function


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        ("same", ("gold",)),
        ("same_problem", ("problem",)),
        ("annotated", ("problem",)),
        ("long_enough", ()),
        ("shifted", ("gold",)),
    ],
)
def test_what_a_signature_takes(function: str, takes: tuple[str, ...]) -> None:
    assert load_function(f"tests.judges.{function}").takes == takes


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("same", {}, "is no dotted name"),
        ("tests.judges.same()", {}, "is no dotted name"),
        ("tests.judges.sme", {}, "tests.judges has no 'sme'"),
        ("tests.jdges.same", {}, "no module 'tests.jdges' is found from"),
        ("not_there.same", {}, "no module 'not_there' is found from"),
        ("tests.judges.Judge", {}, "is a class: name a function, or let the class extend"),
        ("tests.judges.NOT_A_FUNCTION", {}, "is no function but int"),
        ("tests.judges.three", {}, "takes 'extra' too"),
        ("tests.judges.nothing", {}, "does not begin with the prediction"),
        ("tests.judges.problem_first", {}, "does not begin with the prediction"),
        ("tests.judges.same", {"tolerance": 1}, "has no parameter 'tolerance'"),
        ("tests.judges.setting_first", {"by": 1}, "takes 'by' first"),
    ],
)
def test_what_can_be_no_verifier_is_refused(name: str, arguments: dict[str, int], told: str) -> None:
    with pytest.raises(UserError) as refused:
        load_function(name, arguments)
    sentence = str(refused.value)
    assert sentence.startswith(f"function is '{name}', which ") and told in sentence
    assert "\n" not in sentence and sentence.endswith(".")


def test_what_is_given_by_name_is_not_asked_for() -> None:
    assert load_function("tests.judges.three", {"extra": 1}).takes == ("gold",)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import not_installed_here\n", "needs the module 'not_installed_here': install it"),
        ("def f(:\n", "can't be imported: SyntaxError"),
        ("1 / 0\n", "can't be imported: ZeroDivisionError"),
        ("raise SystemExit(2)\n", "can't be imported: SystemExit: 2"),
    ],
)
def test_a_module_that_breaks_is_told(
    source: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"broken_judge_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as refused:
        load_function(f"{name}.f")
    assert told in str(refused.value) and "\n" not in str(refused.value)
