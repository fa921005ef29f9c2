"""The files of a run are looked for while its arguments are parsed: no logger, no model, no folder yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowdpo_pl.cli import main
from flowdpo_pl.errors import UserError
from tests.problem_files import numbered, write_jsonl
from tests.runs import ROOT


def fit(config: str, folder: Path, *arguments: str) -> None:
    place = f"--trainer.logger.init_args.save_dir={folder / 'runs'}"
    main(["fit", "--config", str(ROOT / "configs" / config), place, *arguments])


@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        ("quickstart.yaml", ["--data.train.path=ABSENT"]),
        ("quickstart.yaml", ["--data.test.path=ABSENT", "--data.train.path=HERE"]),
        ("quickstart_study/sft.yaml", ["--data.train=[ABSENT]"]),
        ("quickstart_study/sft.yaml", ["--data.train=[HERE]", "--data.validation=[ABSENT]"]),
    ],
)
def test_an_absent_file_is_named_before_anything_is_made(
    config: str, arguments: list[str], tmp_path: Path
) -> None:
    here = write_jsonl(tmp_path / "here.jsonl", numbered(3))
    absent = str(tmp_path / "absent.jsonl")
    given = [argument.replace("ABSENT", absent).replace("HERE", here) for argument in arguments]
    with pytest.raises(UserError, match=r"absent\.jsonl does not exist"):
        fit(config, tmp_path, *given)
    assert not (tmp_path / "runs").exists()
