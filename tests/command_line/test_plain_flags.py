"""Keys that may be true need not say so; everything else stays as it was typed."""

from __future__ import annotations

import pytest

from flowdpo_pl.command_line.plain_flags import with_plain_flags
from flowdpo_pl.command_line.verbs import verb_named


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("study --dry_run", "--dry_run=true"),
        ("fit --trainer.fast_dev_run --model.window=3", "--trainer.fast_dev_run=true --model.window=3"),
        ("fit --overwrite", "--overwrite=true"),
        ("fit --trainer.fast_dev_run 2", None),
        ("fit --trainer.fast_dev_run=false", None),
        ("fit --model.max_problems --help", None),
        ("compare a b", None),
    ],
)
def test_a_flag_that_stands_alone_is_true(words: str, completed: str | None) -> None:
    verb, *given = words.split()
    assert with_plain_flags(verb_named(verb), given) == (given if completed is None else completed.split())
