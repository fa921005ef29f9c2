"""A callback recognises its module by names alone, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback

import callbacks
from callbacks.watching.watched_modules import evaluated, played, taught
from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.modules.evaluation_module import EvaluationModule
from flowdpo_pl.modules.sft_module import SFTModule
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.team import Team
from tests import runs

WHERE_NOTHING_IS = BaseModel("no/such/model", dtype="float32")
TEAM = Team(WHERE_NOTHING_IS, runs.PROMPTS)
MODULES: dict[str, Callable[[], Any]] = {
    "fit": lambda: runs.module(base=WHERE_NOTHING_IS),
    "sft": lambda: SFTModule(TEAM),
    "test": lambda: EvaluationModule(TEAM),
}
FOLLOWERS = {"fit": played, "sft": taught, "test": evaluated}


@pytest.mark.parametrize("follows", FOLLOWERS)
@pytest.mark.parametrize("made", MODULES)
def test_each_is_followed_by_its_own_callbacks_only(follows: str, made: str) -> None:
    module = MODULES[made]()
    if follows == made:
        assert FOLLOWERS[follows](None, module) is module
    else:
        with pytest.raises(UserError, match=f"follows .*{type(module).__name__}.*: remove the callback"):
            FOLLOWERS[follows](None, module)


@pytest.mark.parametrize("follow", FOLLOWERS.values())
def test_no_member_is_evaluated(follow: Callable[[object, object], object]) -> None:
    """Python 3.11's `isinstance` with a protocol would."""

    class Costly:
        @property
        def costly(self) -> int:
            raise AssertionError("evaluated")

        problems_seen = trees = seed = at_boundary = results = problems_expected = total_updates = costly
        ended_by = agent = identity = save_adapters = save_adapter = resume_from = summary = score_margin = (
            costly
        )

    module = Costly()
    assert follow(None, module) is module


def test_a_member_may_be_none() -> None:
    assert played(None, runs.module(max_problems=None)).problems_expected is None


def every(verb: str) -> list[Callback]:
    of_verb: dict[str, list[Callback]] = {
        "fit": [
            callbacks.FlowProgressBar(),
            callbacks.AccuracyCurve(),
            callbacks.SampleFlows(),
            callbacks.TreeLog(),
            callbacks.RunSummary(),
            callbacks.AdapterCheckpoint(8),
        ],
        "sft": [callbacks.SFTCheckpoint(), callbacks.SFTProgressBar(), callbacks.SFTSummary()],
        "test": [callbacks.EvaluationProgressBar(), callbacks.PredictionLog()],
    }
    return of_verb[verb]


@pytest.mark.parametrize("verb", MODULES)
def test_setup_loads_nothing(tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(self: BaseModel) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(BaseModel, "load", loaded)
    module, stage = MODULES[verb](), "fit" if verb == "sft" else verb
    for callback in every(verb):
        callback.setup(runs.trainer(tmp_path), module, stage)


def test_an_error_while_loading_is_told_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe for attributes takes this error for a missing one."""

    def broken(self: BaseModel) -> None:
        raise AttributeError("the model has no such layer")

    monkeypatch.setattr(BaseModel, "load", broken)
    with pytest.raises(AttributeError, match="no such layer"):
        runs.trainer(tmp_path, callbacks.AccuracyCurve(), callbacks.TreeLog()).fit(runs.module(), runs.data())


def test_a_fit_asks_for_the_identity_once_a_checkpoint_and_once_for_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three batches with a checkpoint each: four times. It hashes weights of the base."""
    asked: list[Players] = []
    identity = Players.identity

    def counted(self: Players) -> dict[str, Any]:
        asked.append(self)
        return identity(self)

    monkeypatch.setattr(Players, "identity", counted)
    trainer = runs.trainer(tmp_path, *every("fit"), enable_checkpointing=True, enable_progress_bar=True)
    trainer.fit(runs.module(max_problems=24), runs.data())
    assert len(asked) == 3 + 1
