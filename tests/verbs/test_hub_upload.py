"""Uploads to a hub that is made here: nothing is asked without a token, nothing sent in a dry run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import errors

from flowdpo_pl.errors import UserError
from flowdpo_pl.verbs.export import export
from flowdpo_pl.verbs.hub_upload import HubUpload
from tests.runs import ROOT


class FakeHub:
    """Keeps what it is told; `failing` names what it refuses."""

    failing: str = ""

    def __init__(self) -> None:
        self.made: list[tuple[str, bool]] = []
        self.files: set[str] = set()

    def _answer(self, what: str) -> None:
        if what == self.failing:
            raise errors.HTTPError(f"no {what}")  # type: ignore[attr-defined]  # of the client in use

    def whoami(self) -> dict[str, str]:
        self._answer("whoami")
        return {"name": "me"}

    def create_repo(self, name: str, private: bool, exist_ok: bool) -> Any:
        self.made.append((name, private))
        return SimpleNamespace(repo_id=f"me/{name}" if "/" not in name else name)

    def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> None:
        self._answer("upload")
        self.files = {
            file.relative_to(folder_path).as_posix() for file in folder_path.rglob("*") if file.is_file()
        }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub()
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "a token")
    return hub


@pytest.mark.parametrize("public", [False, True])
def test_an_export_is_uploaded_whole_and_private_unless_said(
    public: bool, hub: FakeHub, finished_run: Path, tmp_path: Path
) -> None:
    export(finished_run, tmp_path / "out", push_to_hub="me/flow", public=public)
    assert hub.made == [("me/flow", not public)]
    written = {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert hub.files == written >= {"README.md", "answer/adapter_model.safetensors", "flow.yaml"}


def test_a_dry_run_lists_the_files_and_asks_nobody(
    hub: FakeHub,
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.failing = "whoami"
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    export(finished_run, tmp_path / "out", push_to_hub="me/flow", dry_run=True)
    told = capsys.readouterr().out
    assert "would upload to me/flow (private, if it is new):" in told
    for path in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        assert f"  {path.relative_to(tmp_path / 'out').as_posix()} " in told
    assert not hub.made and not hub.files


def test_without_a_token_a_hub_or_a_name_nothing_is_written(
    hub: FakeHub, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(name: str = "me/flow") -> str:
        with pytest.raises(UserError) as caught:
            export(finished_run, tmp_path / "out", push_to_hub=name)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    assert "is no name on the hub: give USER/NAME" in refusal("a/b/c")
    hub.failing = "whoami"
    assert "the hub can't be reached" in refusal()
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "needs a token of the hub" in refusal()


def test_what_the_hub_refuses_stays_here(hub: FakeHub, tmp_path: Path) -> None:
    hub.failing = "upload"
    with pytest.raises(UserError, match="is written, but the hub does not take it as me/flow"):
        HubUpload("me/flow").upload(tmp_path)
