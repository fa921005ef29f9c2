"""Any file in place of a config is read or refused in a sentence, at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.foreign_yaml import read_yaml, value_of


def doubled(levels: int, aliases: str = "[*{0}, *{0}]") -> str:
    """A few lines that stand for 2 to the power of `levels` values."""
    lines = ["a0: &a0 {k: x}"]
    lines += [f"a{n}: &a{n} {aliases.format(f'a{n - 1}')}" for n in range(1, levels)]
    return "\n".join(lines)


def test_any_value_is_read(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    for text, value in [("a: {b: [1, x]}", {"a": {"b": [1, "x"]}}), ("", None), ("'é'", "é")]:
        file.write_text(text, encoding="utf-8")
        assert read_yaml(file, "a config") == value
    assert value_of("a: &a [1]\nb: *a\nc: {<<: {d: 2}}") == {"a": [1], "b": [1], "c": {"d": 2}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "while parsing"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: !!int x", "invalid literal"),
        ("a: !!bool x", "x"),
        ("a: !!timestamp x", ""),
        ("? [a]\n: 1", "unhashable|acceptable"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("[" * 100_000, ""),
    ],
)
def test_what_is_no_yaml_is_told_in_a_line(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        value_of(text)
    assert str(caught.value) and "\n" not in str(caught.value)
    assert value_of("a: [1, x]") == {"a": [1, "x"]}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda file: None, "is no file: give one that holds a config"),
        (Path.mkdir, "is no file"),
        (os.mkfifo, "is no file"),
        (lambda file: file.write_bytes(b"a: \xff"), "can't decode"),
        *(
            (lambda file, text=text: file.write_text(text), "can't be read as a config")
            for text in (
                "a: [",
                "2024-13-45",
                "!!int x",
                "!!int ''",
                "!!bool x",
                "!!timestamp x",
                "!!float x",
            )
        ),
        (lambda file: file.write_text("a: !!python/object:os.system x"), "constructor"),
        (lambda file: file.write_text("[" * 100_000), "nest"),
        (lambda file: file.write_text("[" * 200 + "]" * 200), "nested deeper than 100 values"),
        (lambda file: file.write_text(doubled(60)), "stand for more than 100,000 values"),
        (lambda file: file.write_text(doubled(60, "{{<<: [*{0}, *{0}]}}")), "more than 100,000 values"),
        (lambda file: file.write_text("&a [*a]"), "more than 100,000 values"),
        (lambda file: file.write_text(f"[&a {'x' * 10**6}{', *a' * 100}]"), "more than 100,000 values"),
    ],
)
def test_what_is_no_config_is_refused(tmp_path: Path, made: Callable[[Path], object], why: str) -> None:
    file = tmp_path / "one.yaml"
    made(file)
    with pytest.raises(UserError, match=why) as refused:
        read_yaml(file, "a config")
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)
