"""Keys that may be true need not say so; everything else stays as it was typed."""

from __future__ import annotations

import pytest

from flowdpo_pl.command_line.plain_flags import with_plain_flags
from flowdpo_pl.command_line.verbs import verb_named


@pytest.mark.parametrize(
    ("verb", "words", "completed"),
    [
        ("study", ["--config=a.yaml", "--dry_run"], ["--config=a.yaml", "--dry_run=true"]),
        (
            "fit",
            ["--trainer.fast_dev_run", "--model.window=3"],
            ["--trainer.fast_dev_run=true", "--model.window=3"],
        ),
        ("fit", ["--trainer.fast_dev_run", "2"], ["--trainer.fast_dev_run", "2"]),
        ("fit", ["--trainer.fast_dev_run=false"], ["--trainer.fast_dev_run=false"]),
        ("fit", ["--model.max_problems", "--x"], ["--model.max_problems", "--x"]),
        ("fit", ["--overwrite", "--help"], ["--overwrite", "--help"]),
        ("compare", ["a", "b"], ["a", "b"]),
    ],
)
def test_a_flag_alone_is_true(verb: str, words: list[str], completed: list[str], tmp_path: object) -> None:
    assert with_plain_flags(verb_named(verb), [word for word in words if "a.yaml" not in word]) == [
        word for word in completed if "a.yaml" not in word
    ]
