"""Where a verb writes, by the loggers that its config names, and which checkpoint it means."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import Namespace
from lightning.pytorch.plugins.io import TorchCheckpointIO

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.run_place import METRICS_TABLE, checkpoint_of, place, require_newest

TENSORBOARD = "flowdpo_pl.TensorBoard"
MLFLOW = "lightning.pytorch.loggers.MLFlowLogger"


def logger(path: str = METRICS_TABLE, **arguments: Any) -> Namespace:
    return Namespace(class_path=path, init_args=Namespace(**arguments))


def config(loggers: Any, root: str | None = None) -> Namespace:
    return Namespace(
        trainer=Namespace(logger=loggers, default_root_dir=root),
        model=Namespace(class_path="a", init_args=Namespace(path="{save_dir}/x")),
        data=Namespace(class_path="a"),
    )


def placed(verb: str, loggers: Any, root: str | None = None) -> tuple[str | None, list[str | None], str]:
    """The run's folder, the versions of its loggers, and the trainer's root."""
    made = config(loggers, root)
    run = place(verb, made)
    listed = made.trainer.logger if isinstance(made.trainer.logger, list) else [made.trainer.logger]
    versions = [one.init_args.get("version") for one in listed if isinstance(one, Namespace)]
    return None if run is None else str(run), versions, made.trainer.default_root_dir


def test_a_part_of_the_folder_is_said_once_and_the_last_word_counts() -> None:
    for loggers in (
        [logger(save_dir="s", name="a"), logger(TENSORBOARD, name=None)],
        [logger(TENSORBOARD), logger(save_dir="s", name="a")],
        [logger(save_dir="s", name="before"), logger(TENSORBOARD, name="a")],
    ):
        made = config(loggers)
        assert str(place("fit", made)) == "s/a" == made.trainer.default_root_dir
        assert [vars(one.init_args) for one in made.trainer.logger] == [
            {"save_dir": "s", "name": "a", "version": ""}
        ] * 2


@pytest.mark.parametrize("version", ["", "v", 3])
def test_other_verbs_write_below_it_whatever_the_loggers(version: str | int) -> None:
    def both() -> list[Namespace]:
        kinds = (METRICS_TABLE, TENSORBOARD)
        return [logger(kind, save_dir="s", name="a", version=version) for kind in kinds]

    part = {"": "", "v": "/v", 3: "/version_3"}[version]
    run, versions, _ = placed("validate", both())
    assert run == f"s/a{part}" == placed("fit", both())[0]
    assert versions == [f"{part.lstrip('/')}/validate".lstrip("/")] * 2


def test_two_loggers_of_one_file_are_refused() -> None:
    with pytest.raises(UserError, match=r"names flowdpo_pl\.MetricsTable twice"):
        placed("fit", [logger(save_dir="s", name="a"), logger(save_dir="t", name="b")])


def test_without_a_logger_with_a_folder_it_is_the_trainer_s_root() -> None:
    assert placed("fit", False) == ("runs", [], "runs")
    assert placed("validate", False) == ("runs", [], "runs/validate")
    assert placed("validate", False, root="mine") == ("mine", [], "mine/validate")
    run, versions, root = placed("test", logger(MLFLOW, save_dir="s", name="a", version="id"))
    assert (run, versions, root) == ("s/a", ["id"], "s/a/test"), "its version is none of ours"


def test_without_a_word_it_is_the_table_in_runs() -> None:
    for given in (None, True):
        made = config(given)
        assert place("fit", made) == Path("runs") and made.trainer.logger.class_path == METRICS_TABLE
        assert made.model.init_args.path == "runs/x"


def checkpoint(path: Path, batches: int = 1) -> Path:
    progress = {"total": {"completed": batches}}
    path.parent.mkdir(parents=True, exist_ok=True)
    loops = {"fit_loop": {"epoch_loop.batch_progress": progress}}
    torch.save({"pytorch-lightning_version": "2.6.6", "state_dict": {}, "loops": loops}, path)
    return path


def test_last_and_best_are_this_run_s(tmp_path: Path) -> None:
    for word in ("last", "best"):
        with pytest.raises(UserError, match=rf"--ckpt_path={word}: .*{word}\.ckpt does not exist"):
            checkpoint_of(word, tmp_path)
        path = checkpoint(tmp_path / "checkpoints" / f"{word}.ckpt")
        assert checkpoint_of(word, tmp_path) == path


def test_auto_is_the_last_one_or_the_start(tmp_path: Path) -> None:
    assert checkpoint_of("auto", tmp_path) is None
    with pytest.raises(UserError, match=r"--ckpt_path=auto: .*last\.ckpt does not exist"):
        checkpoint_of("auto", tmp_path, starts=False)
    last = checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert checkpoint_of("auto", tmp_path) == last
    last.write_bytes(last.read_bytes()[:-20])
    with pytest.raises(UserError, match="truncated or spoilt, and no other is whole"):
        checkpoint_of("auto", tmp_path)


def test_a_run_s_folder_or_that_of_its_checkpoints_is_its_last_one(tmp_path: Path) -> None:
    last = checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    for given in (tmp_path, tmp_path / "checkpoints", last):
        assert checkpoint_of(str(given), Path("run")) == last


@pytest.mark.parametrize("word", ["hpc", "registry", "registry:model:version:3"])
def test_other_words_of_lightning_are_refused(word: str) -> None:
    with pytest.raises(UserError, match="give last, best or a file"):
        checkpoint_of(word, Path("run"))


@pytest.mark.parametrize("place", ["", "adapters", "adapters/last", "adapters/last/answer"])
def test_adapters_are_no_checkpoint(place: str, tmp_path: Path) -> None:
    (tmp_path / "run" / "adapters" / "last" / "answer").mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "run" / "adapters" / "last" / "answer" / name).touch()
    given = tmp_path / "run" / place
    expected = "model.team.start.adapters" if place else "without checkpoints"
    with pytest.raises(UserError, match=expected):
        checkpoint_of(str(given), Path("run"))
    with pytest.raises(UserError, match="is an adapter, no checkpoint"):
        checkpoint_of(str(tmp_path / "run/adapters/last/answer/adapter_model.safetensors"), Path("run"))


def test_what_is_no_file_or_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "half.ckpt").write_bytes(b"PK")
    assert not zipfile.is_zipfile(tmp_path / "half.ckpt")
    for given, told in (("none.ckpt", "does not exist"), ("empty", "without"), ("half.ckpt", "truncated")):
        with pytest.raises(UserError, match=told):
            checkpoint_of(str(tmp_path / given), tmp_path)


def test_a_run_goes_on_in_its_folder_from_its_newest_checkpoint_only(tmp_path: Path) -> None:
    earlier = checkpoint(tmp_path / "checkpoints" / "problems_000032.ckpt", 1)
    checkpoint(tmp_path / "checkpoints" / "last.ckpt", 2)
    newest = checkpoint(tmp_path / "checkpoints" / "problems_000064.ckpt", 2)
    elsewhere = checkpoint(tmp_path / "other" / "checkpoints" / "last.ckpt", 1)
    assert not require_newest(None, tmp_path, False)
    assert not require_newest(str(elsewhere), tmp_path, False)
    assert require_newest(str(newest), tmp_path, False)
    assert require_newest(str(earlier), tmp_path, True)
    with pytest.raises(UserError, match=r"is after 1 batches, and the run in .* has gone on to 2"):
        require_newest(str(earlier), tmp_path, False)


@pytest.mark.parametrize("spoil", ["truncated", "removed"])
def test_where_the_newest_is_spoilt_the_one_before_it_is_taken_and_said(tmp_path: Path, spoil: str) -> None:
    before = checkpoint(tmp_path / "checkpoints" / "problems_000032.ckpt", 1)
    last = checkpoint(tmp_path / "checkpoints" / "last.ckpt", 2)
    if spoil == "truncated":
        os.truncate(last, last.stat().st_size // 2)
    else:
        last.unlink()
    for given in ("last", str(tmp_path)):
        with pytest.warns(UserWarning, match=r"last\.ckpt is .*: problems_000032\.ckpt, the newest whole"):
            assert checkpoint_of(given, tmp_path) == before
    os.truncate(before, 9)
    for given in ("last", str(tmp_path)):
        with pytest.raises(UserError, match=r"last|folder without checkpoints"):
            checkpoint_of(given, tmp_path)


PICKLES = {
    "a key that is not there": b"\x80\x02h\x05.",
    "an entry of a number": b"\x80\x02K\x05(K\x01K\x02u.",
    "no tensor's place": b"\x80\x02K\x05Q.",
    "a call without arguments": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "a key that can't be one": b"\x80\x02}(]K\x01u.",
    "nothing to take away": b"\x80\x020.",
    "nothing": b"",
    "a number": pickle.dumps(5, 2),
    "a list": pickle.dumps([1], 2),
    "another program's": pickle.dumps({"a": 1}, 2),
    "no weights": pickle.dumps({"state_dict": 5, "pytorch-lightning_version": "2"}, 2),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_an_archive_of_something_else_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "checkpoints" / "last.ckpt"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (("data.pkl", PICKLES[kind]), ("version", b"3\n"), ("byteorder", b"little")):
            archive.writestr(f"archive/{name}", content)
    for given in ("last", str(file)):
        with pytest.raises(UserError, match=r"last\.ckpt is (spoilt, or holds|no checkpoint of a run)"):
            checkpoint_of(given, tmp_path)


def test_a_checkpoint_that_does_not_say_how_far_it_is_does_not_decide_where_a_run_goes_on(
    tmp_path: Path,
) -> None:
    checkpoint(tmp_path / "checkpoints" / "last.ckpt", 2)
    other = tmp_path / "checkpoints" / "other.ckpt"
    torch.save({"loops": {"fit_loop": 5}}, other)
    with pytest.raises(UserError, match=r"other\.ckpt does not say after how many batches"):
        require_newest(str(other), tmp_path, False)


class Touches:
    """What a hostile checkpoint holds: unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_a_checkpoint_that_would_run_code_is_refused_by_us_and_by_lightning(tmp_path: Path) -> None:
    ran, hostile = tmp_path / "ran", tmp_path / "checkpoints" / "last.ckpt"
    hostile.parent.mkdir()
    torch.save({"state_dict": {}, "callbacks": Touches(ran)}, hostile)
    for given in ("last", str(hostile), str(tmp_path)):
        with pytest.raises(UserError, match="which could run code and are not loaded"):
            checkpoint_of(given, tmp_path)
    with pytest.raises(pickle.UnpicklingError):
        TorchCheckpointIO().load_checkpoint(hostile)
    assert not ran.exists()
    torch.load(hostile, weights_only=False)
    assert ran.exists(), "it is one"
