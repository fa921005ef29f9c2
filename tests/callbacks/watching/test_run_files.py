from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from callbacks.watching.run_files import keeps_files, run_folder
from tests.callbacks.playing import trainer


def test_the_run_folder_is_the_logger_s_if_there_is_one(tmp_path: Path) -> None:
    runner = trainer(tmp_path)
    assert run_folder(runner) == tmp_path
    runner.loggers = [CSVLogger(tmp_path, name="log", version="one")]
    assert run_folder(runner) == tmp_path / "log" / "one"


def test_a_run_that_is_only_tried_keeps_no_files(tmp_path: Path) -> None:
    assert keeps_files(trainer(tmp_path))
    assert not keeps_files(Trainer(fast_dev_run=True, logger=False, enable_progress_bar=False))
