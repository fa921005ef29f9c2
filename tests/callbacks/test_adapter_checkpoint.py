import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file

from callbacks import AdapterCheckpoint
from flowdpo_pl.errors import UserError
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, trainer


def save(folder: Path, *others: Callback, module: Playing | None = None, **kwargs: Any) -> Playing:
    arguments = {name: kwargs.pop(name) for name in ("keep_best", "keep_last") if name in kwargs}
    callback = AdapterCheckpoint(every_n_problems=kwargs.pop("every_n_problems", 8), **arguments)
    return fit(folder, *others, callback, module=module, enable_checkpointing=True, **kwargs)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def load(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def test_checkpoints_are_paced_by_problems_and_the_last_one_is_the_end(tmp_path: Path) -> None:
    save(tmp_path, module=Playing(max_problems=20), keep_best=False)
    stems = {"problems_000008", "problems_000016", "problems_000020", "last"}
    assert names(tmp_path / "checkpoints") == {f"{stem}.ckpt" for stem in stems}
    assert names(tmp_path / "adapters") == stems
    assert load(tmp_path / "checkpoints" / "last.ckpt")["cursor"] == 20


def test_a_pace_that_batches_do_not_hit_saves_at_the_next_batch(tmp_path: Path) -> None:
    save(tmp_path, module=Playing(max_problems=24), every_n_problems=10, keep_best=False)
    # 10 is passed at 12, 20 is met, 24 is the end
    assert names(tmp_path / "adapters") == {"problems_000012", "problems_000020", "problems_000024", "last"}


def test_only_the_newest_numbered_ones_are_kept(tmp_path: Path) -> None:
    save(tmp_path, module=Playing(max_problems=32), keep_best=False, keep_last=2)
    kept = {"problems_000024", "problems_000032", "last"}
    assert names(tmp_path / "adapters") == kept
    assert names(tmp_path / "checkpoints") == {f"{name}.ckpt" for name in kept}


def test_adapters_beside_a_checkpoint_are_those_inside_it(tmp_path: Path) -> None:
    module = save(tmp_path)
    for name in ("last", "problems_000008"):
        state = load(tmp_path / "checkpoints" / f"{name}.ckpt")["state_dict"]
        for agent in ("answer", "stop"):
            adapter = load_file(tmp_path / "adapters" / name / agent / "adapter_model.safetensors")
            assert torch.equal(adapter["weight"], state[f"adapters.{agent}.weight"])
    last = load(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    assert torch.equal(last["adapters.stop.bias"], module.state_dict()["adapters.stop.bias"])


class FixedWindow(Playing):
    """Window accuracies by problems seen; the window is full from 16 on."""

    def play(self, batch: torch.Tensor) -> dict[str, float]:
        values = super().play(batch)
        seen = self.problems_seen
        accuracy = {8: 0.9, 16: 0.3, 24: 0.6, 32: 0.6, 40: 0.5}.get(seen, 0.0)
        return {**values, "window_accuracy": accuracy, "window_full": int(seen >= 16)}


def test_best_is_the_first_highest_full_window(tmp_path: Path) -> None:
    callback = AdapterCheckpoint(every_n_problems=8, keep_last=1)
    fit(tmp_path, callback, module=FixedWindow(max_problems=40), enable_checkpointing=True)
    assert load(tmp_path / "checkpoints" / "best.ckpt")["cursor"] == 24
    assert callback.best_model_path == str(tmp_path / "checkpoints" / "best.ckpt")
    assert names(tmp_path / "adapters") == {"problems_000040", "last", "best"}


def test_the_best_score_survives_a_resume(tmp_path: Path) -> None:
    first = FixedWindow(max_problems=24)
    save(tmp_path, module=first)
    last = tmp_path / "checkpoints" / "last.ckpt"
    save(tmp_path, module=FixedWindow(max_problems=40), ckpt_path=last)
    assert load(tmp_path / "checkpoints" / "best.ckpt")["cursor"] == 24, (
        "0.6 again and 0.5 are no improvement"
    )
    assert load(last)["cursor"] == 40


def test_a_run_that_goes_on_elsewhere_takes_last_and_best_along(tmp_path: Path) -> None:
    save(tmp_path / "a", module=FixedWindow(max_problems=32))
    came_from = tmp_path / "a" / "checkpoints" / "last.ckpt"
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    with pytest.raises(Stopped):
        save(tmp_path / "b", module=FixedWindow(40, before_batch=stop_at(32)), ckpt_path=came_from)
    assert names(tmp_path / "b" / "adapters") == {"problems_000032", "last", "best"}
    assert load(tmp_path / "b" / "checkpoints" / "best.ckpt")["cursor"] == 24
    assert load(tmp_path / "b" / "checkpoints" / "last.ckpt")["cursor"] == 32
    assert {path: path.read_bytes() for path in before} == before


def test_a_best_that_is_gone_is_taken_from_its_number_or_forgotten(tmp_path: Path) -> None:
    for keep_last, cursor in ((3, 24), (1, 40)):
        a, b = tmp_path / f"a{keep_last}", tmp_path / f"b{keep_last}"
        save(a, module=FixedWindow(max_problems=32), keep_last=keep_last)
        (a / "checkpoints" / "best.ckpt").unlink()
        came_from = a / "checkpoints" / "last.ckpt"
        save(b, module=FixedWindow(max_problems=40), keep_last=keep_last, ckpt_path=came_from)
        best = load(b / "checkpoints" / "best.ckpt")
        assert best["cursor"] == cursor
        adapter = load_file(b / "adapters" / "best" / "stop" / "adapter_model.safetensors")
        assert torch.equal(adapter["weight"], best["state_dict"]["adapters.stop.weight"])


def test_folders_of_adapters_that_are_gone_come_back(tmp_path: Path) -> None:
    save(tmp_path, module=FixedWindow(max_problems=32))
    before = {path: path.read_bytes() for path in (tmp_path / "adapters").glob("[bl]*/*/*.safetensors")}
    shutil.rmtree(tmp_path / "adapters")
    with pytest.raises(Stopped):
        module = FixedWindow(40, before_batch=stop_at(32))
        save(tmp_path, module=module, ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    assert before and {path: path.read_bytes() for path in before} == before


def test_what_comes_after_an_earlier_checkpoint_goes_when_a_run_goes_on_from_it(tmp_path: Path) -> None:
    save(tmp_path, module=FixedWindow(max_problems=32), keep_last=None)
    earlier = tmp_path / "checkpoints" / "problems_000016.ckpt"
    with pytest.raises(Stopped):
        module = FixedWindow(32, before_batch=stop_at(16))
        save(tmp_path, module=module, keep_last=None, ckpt_path=earlier)
    assert names(tmp_path / "adapters") == {"problems_000008", "problems_000016", "last", "best"}
    for name in ("last", "best"):
        assert load(tmp_path / "checkpoints" / f"{name}.ckpt")["cursor"] == 16


def test_without_a_full_window_there_is_no_best(tmp_path: Path) -> None:
    callback = AdapterCheckpoint(every_n_problems=4)
    fit(tmp_path, callback, module=FixedWindow(max_problems=8), enable_checkpointing=True)
    assert "best.ckpt" not in names(tmp_path / "checkpoints") and callback.best_model_path == ""


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    class Fixed(Playing):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, float]:
            torch.manual_seed(self.problems_seen)
            return super().training_step(batch, batch_idx)

    whole = save(tmp_path / "whole", module=Fixed(max_problems=24))
    save(tmp_path / "parts", module=Fixed(max_problems=12))
    resumed = Fixed(max_problems=24)
    save(tmp_path / "parts", module=resumed, ckpt_path=tmp_path / "parts" / "checkpoints" / "last.ckpt")
    assert resumed.problems_seen == whole.problems_seen == 24
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_stopped_between_batches_saves_what_was_trained(tmp_path: Path) -> None:
    class StopBetween(Playing):
        def on_train_batch_end(self, *args: Any) -> None:
            if self.problems_seen == 12:
                raise Stopped

    with pytest.raises(Stopped):
        save(tmp_path, module=StopBetween())
    assert load(tmp_path / "checkpoints" / "last.ckpt")["cursor"] == 12


def test_keyboard_interrupt_between_batches_saves_too(tmp_path: Path) -> None:
    class Interrupted(Playing):
        def on_train_batch_end(self, *args: Any) -> None:
            if self.problems_seen == 4:
                raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        save(tmp_path, module=Interrupted())
    assert load(tmp_path / "checkpoints" / "last.ckpt")["cursor"] == 4


def test_stopped_inside_a_batch_saves_nothing_half_updated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stopped):
        save(tmp_path, module=Playing(before_batch=stop_at(12)))
    assert load(tmp_path / "checkpoints" / "last.ckpt")["cursor"] == 8
    assert "after 8 problems" in capsys.readouterr().out


def test_killed_while_writing_leaves_the_old_files_and_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, module=Playing(max_problems=8), keep_best=False)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def killed(*args: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(Stopped):
            save(tmp_path, module=Playing(), ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert all(".partial" in str(path) for path in after.keys() - before.keys())
    assert {path: after[path] for path in before} == before
    save(tmp_path, ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    assert not [path for path in tmp_path.rglob("*.partial")], "the next run cleans up"


def test_the_trainer_adds_no_checkpoint_of_its_own(tmp_path: Path) -> None:
    callback = AdapterCheckpoint()
    assert trainer(tmp_path, callback, enable_checkpointing=True).checkpoint_callbacks == [callback]


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(UserError, match="keep_last is 0"):
        AdapterCheckpoint(keep_last=0)
    with pytest.raises(UserError, match="every_n_problems is 0"):
        AdapterCheckpoint(every_n_problems=0)


def test_a_numbered_checkpoint_is_left_as_it_is_where_only_last_has_to_be_mended(tmp_path: Path) -> None:
    """As a power cut leaves it in the middle of the save after it."""
    save(tmp_path, module=Playing(max_problems=24), keep_best=False, keep_last=2)
    checkpoints, adapters = tmp_path / "checkpoints", tmp_path / "adapters"
    (checkpoints / "problems_000016.ckpt").unlink()
    shutil.rmtree(adapters / "problems_000016")
    shutil.rmtree(adapters / "last")
    numbered = (checkpoints / "problems_000024.ckpt").read_bytes()
    save(
        tmp_path,
        module=Playing(max_problems=32),
        keep_best=False,
        keep_last=2,
        ckpt_path=checkpoints / "last.ckpt",
    )
    assert (checkpoints / "problems_000024.ckpt").read_bytes() == numbered
    assert names(adapters) == {"problems_000024", "problems_000032", "last"}
