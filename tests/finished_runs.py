"""A short finished run of the quickstart, for what others take of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from flowdpo_pl.cli import main
from tests.runs import ROOT

SOURCE = str(ROOT / "quickstart" / "problems" / "valid.jsonl")


def fit_quickstart(folder: Path, *arguments: str) -> Path:
    """The folder of a run of 16 problems that kept its trees; the working directory is the repository's."""
    main(
        [
            "fit",
            "--config=configs/quickstart.yaml",
            f"--trainer.logger.init_args.save_dir={folder}",
            "--data.batch_size=8",
            "--model.max_problems=16",
            "--model.sampling.temperature=0.9",
            "--seed_everything=3",
            *arguments,
        ]
    )
    return folder / "quickstart"


def copied(run: Path, folder: Path) -> Path:
    """The same run at another place, which may be written to."""
    return Path(shutil.copytree(run, folder / run.name))
