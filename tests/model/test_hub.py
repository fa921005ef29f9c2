"""A hub that is asked once: what a mistyped id is told, and when a copy may serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.hub import require_on_hub, what_was_meant


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that the hub was asked for; it can't be reached."""
    names: list[str] = []

    def repo_info(self: object, name: str, **options: Any) -> None:
        names.append(name)
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", repo_info)
    return names


def test_an_id_that_the_hub_cannot_be_asked_for_is_one_sentence_after_one_question(asked: list[str]) -> None:
    with pytest.raises(UserError, match=r"base\.path 'owner/x' .* can't be reached \(no network\)") as caught:
        BaseModel("owner/x").load()
    assert asked == ["owner/x"] and "\n" not in str(caught.value)


def test_a_copy_serves_where_the_hub_cannot_be_asked(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **options: "config.json")
    assert not require_on_hub("base.path", "owner/x", "model")
    assert asked == ["owner/x"]


def test_an_id_that_is_none_is_refused_without_a_network() -> None:
    with pytest.raises(UserError, match=r"path 'a b' .*gives no such data set"):
        require_on_hub("path", "a b", "dataset")


def test_a_near_miss_of_a_folder_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "smollm2").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert what_was_meant("models/smolm2") == "did you mean models/smollm2?"
    nothing = "correct it, or name a folder on this machine"
    assert what_was_meant("models/other") == what_was_meant("elsewhere/smollm2") == nothing
