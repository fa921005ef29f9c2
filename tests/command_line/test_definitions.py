"""Sources tell the same as the imported classes. Also tests `command_line.kinds`."""

from __future__ import annotations

import inspect

import pytest

import callbacks
import flowdpo_pl
from flowdpo_pl.command_line.definitions import class_at, exported
from flowdpo_pl.command_line.kinds import default_class, kind_of

PACKAGES = {"flowdpo_pl": flowdpo_pl, "callbacks": callbacks}
CLASSES = [f"{name}.{cls}" for name, package in PACKAGES.items() for cls in package.__all__]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_s_public_names_are_read(package: str) -> None:
    assert sorted(exported(package)) == sorted(PACKAGES[package].__all__)


@pytest.mark.parametrize("path", CLASSES)
def test_a_class_s_arguments_are_those_of_its_import(path: str) -> None:
    package, _, name = path.rpartition(".")
    imported = getattr(PACKAGES[package], name)
    found = class_at(path)
    assert found is not None and found.name == name and found.home == imported.__module__
    signature = found.signature()
    assert signature is not None
    if imported.__init__ is object.__init__ or signature.open:
        return
    expected = inspect.signature(imported).parameters
    assert [parameter.name for parameter in signature.parameters] == list(expected)
    for parameter in signature.parameters:
        needed = expected[parameter.name].default is inspect.Parameter.empty
        assert (parameter.default is None) == needed, parameter.name


@pytest.mark.parametrize(
    "path", ["flowdpo_pl.Tem", "flowdpo_pl", "Team", "no_package.Team", "a: b", "math.pi"]
)
def test_what_is_no_class_in_a_source_is_not_found(path: str) -> None:
    assert class_at(path) is None


@pytest.mark.parametrize(
    ("path", "name", "text", "null", "told"),
    [
        ("flowdpo_pl.ProblemSource", "path", True, False, "text"),
        ("flowdpo_pl.ProblemSource", "name", True, True, "text or null"),
        ("flowdpo_pl.ProblemSource", "limit", False, True, "a whole number or null"),
        ("flowdpo_pl.ProblemSource", "label_fields", False, True, "null"),
        ("flowdpo_pl.BaseModel", "dtype", False, False, "one of float32, bfloat16, float16"),
        ("flowdpo_pl.BaseModel", "quantization", False, True, "one of nf4, int8 or null"),
        ("flowdpo_pl.LoraSettings", "alpha", False, False, "a number"),
        ("flowdpo_pl.BaseModel", "compare_weights", False, False, "true or false"),
    ],
)
def test_an_annotation_says_what_a_value_may_be(
    path: str, name: str, text: bool, null: bool, told: str
) -> None:
    signature = getattr(class_at(path), "signature")()  # noqa: B009
    (kind,) = (kind_of(parameter) for parameter in signature.parameters if parameter.name == name)
    assert (kind.is_text, kind.may_be_null, kind.told()) == (text, null, told)


def test_a_default_s_class_is_known_and_a_meaning_is_read() -> None:
    found = class_at("flowdpo_pl.FlowDPOModule")
    signature = found.signature() if found is not None else None
    assert signature is not None
    named = {parameter.name: parameter for parameter in signature.parameters}
    exploration = default_class(named["exploration"])
    assert exploration is not None and exploration.name == "NodeAlternatives"
    assert named["frozen"].meaning == (
        "agents that play their adapter but do not learn; their pairs are only counted."
    )


@pytest.mark.parametrize(
    ("path", "name", "allowed", "refused"),
    [
        ("flowdpo_pl.Learning", "lr", ["1e-3", "5", 1, ".inf", "-.INF", ".nan"], ["fast", True, None, "1,5"]),
        ("flowdpo_pl.LoraSettings", "r", ["8", 8], ["8.5", "x", False]),
        ("flowdpo_pl.ProblemSource", "limit", ["null", "", None, "7"], ["all"]),
        ("flowdpo_pl.BaseModel", "compare_weights", ["true", False, "no"], ["maybe", 3]),
        ("flowdpo_pl.ProblemSource", "path", ["anything: [", 5], []),
    ],
)
def test_plain_values_are_judged_as_the_parser_would(
    path: str, name: str, allowed: list[object], refused: list[object]
) -> None:
    signature = getattr(class_at(path), "signature")()  # noqa: B009
    (kind,) = (kind_of(parameter) for parameter in signature.parameters if parameter.name == name)
    assert all(kind.allows(value) for value in allowed)
    assert not any(kind.allows(value) for value in refused)
