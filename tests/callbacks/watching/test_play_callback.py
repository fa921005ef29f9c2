from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from callbacks.watching.batch_values import BatchValues
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.errors import UserError
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, trainer, validate


class Heard(PlayCallback):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def play_started(self, module: PlayedModule, seen: int) -> None:
        self.calls.append(("started", self.verb, seen))

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        assert len(module.trees) == values["problems"], "the module speaks of this batch already"
        self.calls.append(("batch", module.problems_seen))

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        self.calls.append(("ended", type(stopped_by)))


@pytest.mark.parametrize("run", [fit, validate])
def test_fit_and_validate_are_heard_alike(tmp_path: Path, run: Any) -> None:
    heard = Heard()
    run(tmp_path, heard, module=Playing(max_problems=8))
    assert heard.calls == [
        ("started", run.__name__, 0),
        ("batch", 4),
        ("batch", 8),
        ("ended", type(None)),
    ]


def test_a_resumed_stream_goes_on_where_it_was(tmp_path: Path) -> None:
    first = trainer(tmp_path)
    first.fit(Playing(max_problems=8))
    first.save_checkpoint(tmp_path / "part.ckpt")
    heard = Heard()
    fit(tmp_path, heard, module=Playing(max_problems=12), ckpt_path=tmp_path / "part.ckpt")
    assert heard.calls[:2] == [("started", "fit", 8), ("batch", 12)]


def test_an_exception_ends_the_play_with_it(tmp_path: Path) -> None:
    heard = Heard()
    with pytest.raises(Stopped):
        fit(tmp_path, heard, module=Playing(before_batch=stop_at(4)))
    assert heard.calls == [("started", "fit", 0), ("batch", 4), ("ended", Stopped)]


def test_an_exception_before_the_play_is_none_of_its_business(tmp_path: Path) -> None:
    class Broken(Playing):
        def on_fit_start(self) -> None:
            raise Stopped

    heard = Heard()
    with pytest.raises(Stopped):
        fit(tmp_path, heard, module=Broken())
    assert heard.calls == []


def test_other_ranks_are_told_nothing(tmp_path: Path) -> None:
    class Elsewhere:
        """A trainer of another rank."""

        is_global_zero = fast_dev_run = False
        loggers = ()
        default_root_dir = str(tmp_path)
        strategy = SingleDeviceStrategy()
        callbacks = ()

    heard, module = Heard(), Playing()
    elsewhere: Any = Elsewhere()
    heard.setup(elsewhere, module, "fit")
    heard.on_train_start(elsewhere, module)
    heard.on_train_batch_end(elsewhere, module, module.play(torch.arange(4)), None, 0)
    heard.on_fit_end(elsewhere, module)
    assert heard.calls == []


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_verbs_that_are_not_watched_ask_nothing_of_the_module(tmp_path: Path, verb: str) -> None:
    heard = Heard()
    heard.setup(trainer(tmp_path), torch.nn.Module(), verb)  # type: ignore[arg-type]
    with pytest.raises(UserError):
        heard.setup(trainer(tmp_path), torch.nn.Module(), "fit")  # type: ignore[arg-type]
