import json
import math
from importlib.metadata import version
from pathlib import Path

import pytest

from callbacks.summary import summary_file
from callbacks.summary.summary_file import ending, training_facts, unknown_as_null, versions, write_summary
from tests.callbacks.playing import Playing


def test_numbers_that_are_not_finite_become_null_at_any_depth(tmp_path: Path) -> None:
    write_summary(tmp_path / "run", {"a": math.nan, "b": {"c": math.inf, "d": {"e": -math.inf}}, "f": 0.5})
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert written == {"a": None, "b": {"c": None, "d": {"e": None}}, "f": 0.5}


def test_known_values_stay_as_they_are() -> None:
    known = {"text": "é", "count": 3, "none": None, "list": [1, 2], "share": 0.25}
    assert unknown_as_null(known) == known


def test_a_summary_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_summary(tmp_path, {"a": 1})
    with pytest.raises(TypeError):
        write_summary(tmp_path, {"a": object()})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_versions_are_the_installed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_file, "PACKAGES", ("torch", "no-such-package"))
    assert versions() == {"python": versions()["python"], "torch": version("torch"), "no-such-package": None}


def test_a_run_is_finished_or_ended_by_its_exception() -> None:
    assert ending("data", None) == {"ended": "finished", "ended_by": "data"}
    assert set(ending("data", KeyboardInterrupt()).values()) == {"KeyboardInterrupt"}


def test_facts_of_a_training_ask_for_the_identity_once() -> None:
    class Counted(Playing):
        asked = 0

        def identity(self) -> dict[str, object]:
            self.asked += 1
            return super().identity()

    module = Counted()
    facts = training_facts(module, 1016.0)
    assert (facts["peak_memory_bytes"], facts["seed"], facts["identity"]) == (1016, 7, Playing().identity())
    assert module.asked == 1
