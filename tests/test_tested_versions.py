"""A newer major version than the tests have run on is one sentence; the lanes keep the table."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from flowdpo_pl import __main__, tested_versions
from flowdpo_pl.tested_versions import NEWEST_TESTED, untested_versions

ROOT = Path(__file__).parent.parent


def test_every_package_of_a_user_has_a_tested_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *extras["tensorboard"], *extras["wandb"], *extras["vllm"]]
    assert list(NEWEST_TESTED) == sorted(re.split(r"[\[>=~]", one)[0] for one in named)


def test_no_lower_bound_is_beyond_what_is_tested_and_nothing_is_capped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for one in project["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", one).groups()  # type: ignore[union-attr]
        assert int(bound.split(".")[0]) <= NEWEST_TESTED[name]


def test_what_is_installed_here_is_tested_here() -> None:
    """Fails in `make test-newest` when a package has a new major version: if the rest passes, raise it."""
    assert untested_versions() == ""


def test_newer_ones_are_one_sentence_before_a_verb_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = {"lightning": "3.0.1", "torch": "2.99.0+cpu", "numpy": "3.1", "wandb": ""}
    monkeypatch.setattr(tested_versions, "_installed", lambda package: installed.get(package, ""))
    told = "not tested yet with lightning 3.0.1 (tested: 2.x), numpy 3.1 (tested: 2.x): "
    assert untested_versions() == f"{told}if something is odd, install an earlier one."
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", "show", "nowhere", "1"])
    with pytest.raises(SystemExit):
        __main__.main()
    assert capsys.readouterr().err.count("not tested yet") == 1


def test_help_says_nothing_of_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tested_versions, "_installed", lambda package: "999.0")
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", "--version"])
    __main__.main()
    assert capsys.readouterr().err == ""
