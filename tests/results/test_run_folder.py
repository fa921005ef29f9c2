"""One process at a time, and no run replaces another's files unasked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_folder import MARK, Mark, Overwrite, RunFolder, read_mark, run_folder_of
from tests.runs import ROOT


@contextmanager
def begun(
    folder: Path, verb: str = "fit", settings: str = "a", overwrite: Overwrite = False
) -> Iterator[str]:
    run = RunFolder(folder, verb)
    with run.claimed(settings, resumed=False, overwrite=overwrite) as replaced:
        run.begin()
        yield replaced


def trained(folder: Path, settings: str = "a") -> None:
    """A folder that a finished run has left."""
    with begun(folder, settings=settings):
        for name in ("checkpoints/last.ckpt", "adapters/last/answer/adapter_config.json", "metrics.csv"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        (folder / "summary.json").write_text(json.dumps({"ended": "finished", "problems_seen": 1536}))
        (folder / "notes.txt").write_text("the user's own")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def refusal(folder: Path, verb: str = "fit", settings: str = "a", overwrite: Overwrite = False) -> str:
    before = files(folder)
    with pytest.raises(UserError) as caught, begun(folder, verb, settings, overwrite):
        pass
    assert files(folder) == before
    return str(caught.value)


def test_a_new_folder_is_marked_once_the_run_begins(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "b", "fit")
    with run.claimed("digest", resumed=False, overwrite=False) as replaced:
        assert replaced == "" and read_mark(run.path) is None
        run.begin()
        run.begin()
    mark = read_mark(run.path)
    assert mark is not None and (mark.verb, mark.settings) == ("fit", "digest") and mark.started


def test_a_run_that_fails_before_it_begins_leaves_nothing(tmp_path: Path) -> None:
    new = RunFolder(tmp_path / "a" / "b", "fit").claimed("digest", resumed=False, overwrite=False)
    with pytest.raises(ZeroDivisionError), new:
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    trained(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    used = RunFolder(tmp_path, "fit").claimed("other", resumed=False, overwrite=True)
    with pytest.raises(ZeroDivisionError), used:
        raise ZeroDivisionError
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_trained_run_is_kept_and_the_choices_are_told(tmp_path: Path) -> None:
    trained(tmp_path)
    told = refusal(tmp_path)
    assert f"{tmp_path} holds a run already (1,536 problems, finished, started 2" in told
    for choice in ("--ckpt_path=last", "--trainer.logger.init_args.name=NAME", "--overwrite"):
        assert choice in told


def test_it_is_replaced_where_the_user_says_so_and_nothing_else_goes(tmp_path: Path) -> None:
    trained(tmp_path)
    with begun(tmp_path / "validate", "validate"):
        (tmp_path / "validate" / "summary.json").touch()
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "mine.txt").touch()
    with begun(tmp_path, settings="b", overwrite=True) as replaced:
        assert "the earlier run (1,536 problems, finished, started 2" in replaced
        assert files(tmp_path) == {MARK, "notes.txt", "test/mine.txt"}
    mark = read_mark(tmp_path)
    assert mark is not None and mark.settings == "b"


def test_a_demonstration_replaces_only_one_of_the_same_settings(tmp_path: Path) -> None:
    trained(tmp_path, settings="a")
    assert "holds a run of other settings already" in refusal(tmp_path, settings="b", overwrite="same")
    with begun(tmp_path, settings="a", overwrite="same") as replaced:
        assert replaced and not (tmp_path / "checkpoints").exists()


def test_a_run_that_was_killed_before_its_first_checkpoint_is_replaced(tmp_path: Path) -> None:
    with begun(tmp_path):
        (tmp_path / "accuracy_curve.csv").touch()
        (tmp_path / ".summary.json.partial").touch()
        (tmp_path / "checkpoints").mkdir()
    with begun(tmp_path, settings="b") as replaced:
        assert "not finished" in replaced and files(tmp_path) == {MARK}


@pytest.mark.parametrize("text", ["{", '{"verb": 3}', "[]"])
def test_a_mark_that_was_cut_off_marks_all_the_same(text: str, tmp_path: Path) -> None:
    trained(tmp_path)
    (tmp_path / MARK).write_text(text)
    assert "holds" in refusal(tmp_path)


def test_files_that_no_run_has_written_stay_even_when_asked(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("somebody's")
    told = refusal(tmp_path, overwrite=True)
    assert "holds config.yaml, which no run has written there" in told and "another folder" in told


def test_measurements_are_kept_as_well(tmp_path: Path) -> None:
    with begun(tmp_path / "v", "validate"):
        (tmp_path / "v" / "summary.json").write_text('{"ended": "Interrupted"}')
    with begun(tmp_path / "v", "validate"):
        assert not (tmp_path / "v" / "summary.json").exists(), "what was interrupted is begun again"
        (tmp_path / "v" / "summary.json").write_text('{"ended": "finished"}')
    assert "--overwrite" in refusal(tmp_path / "v", "validate")
    with begun(tmp_path / "t", "test"):
        (tmp_path / "t" / "predictions.unfinished.jsonl").touch()
    with begun(tmp_path / "t", "test") as replaced:
        assert replaced == "" and "predictions.unfinished.jsonl" in files(tmp_path / "t"), "it goes on"
        (tmp_path / "t" / "predictions.jsonl").touch()
    with begun(tmp_path / "t", "test") as replaced:
        assert replaced == "", "it was stopped in its last moment"
        (tmp_path / "t" / "predictions.unfinished.jsonl").unlink()
    assert "--ckpt_path" not in refusal(tmp_path / "t", "test")
    for _ in range(2):  # goes on after the traces that are there
        with begun(tmp_path / "p", "predict"):
            (tmp_path / "p" / "traces.jsonl").touch()
    with begun(tmp_path / "p", "predict", overwrite=True):
        assert files(tmp_path / "p") == {MARK}


def test_a_resumed_run_keeps_everything(tmp_path: Path) -> None:
    trained(tmp_path)
    run = RunFolder(tmp_path, "fit")
    before = files(tmp_path)
    with run.claimed("more problems", resumed=True, overwrite=False) as replaced:
        run.begin()
        assert replaced == "" and files(tmp_path) == before


def test_one_process_at_a_time_and_a_kill_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from flowdpo_pl.results.run_folder import RunFolder\n"
        "run = RunFolder(pathlib.Path(sys.argv[1]), 'fit')\n"
        "with run.claimed('a', resumed=False, overwrite=False):\n"
        "    run.begin(); print('owned', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout is not None and other.stdout.readline() == "owned\n"
        assert f"another process is writing to {tmp_path}" in refusal(tmp_path, overwrite=True)
        other.send_signal(signal.SIGKILL)
    with begun(tmp_path, settings="b"):
        pass


def test_of_many_that_start_at_once_one_has_the_folder(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from flowdpo_pl.errors import UserError\n"
        "from flowdpo_pl.results.run_folder import RunFolder\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "run = RunFolder(folder, 'fit')\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    with run.claimed('a', resumed=False, overwrite=False):\n"
        "        run.begin()\n"
        "        (folder / 'checkpoints').mkdir()\n"
        "        (folder / 'checkpoints' / 'last.ckpt').touch()\n"
        "        print('owned')\n"
        "except UserError:\n"
        "    print('refused')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(6)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0].strip() for process in started]
    assert sorted(told) == ["owned", *["refused"] * 5]


@pytest.mark.skipif(os.geteuid() == 0, reason="everything may be written by the superuser")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "can't be written (Permission denied)" in refusal(tmp_path / "a")


@pytest.mark.parametrize("made", [os.mkfifo, Path.mkdir], ids=["a pipe", "a folder"])
def test_a_mark_that_is_no_file_is_named_and_waited_for_by_nobody(
    made: Callable[[Path], object], tmp_path: Path
) -> None:
    made(tmp_path / MARK)
    assert read_mark(tmp_path) is None
    assert "can't be written (" in refusal(tmp_path)


@pytest.mark.parametrize("made", [os.mkfifo, Path.mkdir], ids=["a pipe", "a folder"])
def test_a_summary_that_is_no_file_tells_nothing(made: Callable[[Path], object], tmp_path: Path) -> None:
    trained(tmp_path)
    (tmp_path / "summary.json").unlink()
    made(tmp_path / "summary.json")
    assert "holds a run already (not finished, " in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"\xff", b"[" * 100_000, b"5", b"[]"])
def test_a_mark_that_can_t_be_read_marks_all_the_same(content: bytes, tmp_path: Path) -> None:
    (tmp_path / MARK).write_bytes(content)
    assert read_mark(tmp_path) == Mark("", "", "")


def test_a_folder_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file' / 'a'} can't be written" in refusal(tmp_path / "file" / "a")


def test_the_folder_is_that_of_the_first_logger_that_has_one(tmp_path: Path) -> None:
    first, second = CSVLogger(tmp_path, "a", "b"), CSVLogger(tmp_path, "c", "d")
    assert run_folder_of([object(), first, second], "elsewhere") == tmp_path / "a" / "b"
    assert run_folder_of([second], "elsewhere") == tmp_path / "c" / "d"
    assert run_folder_of([object()], "elsewhere") == Path("elsewhere")
