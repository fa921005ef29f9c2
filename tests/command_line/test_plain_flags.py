"""Keys that may be true need not say so; everything else stays as it was typed."""

from __future__ import annotations

import pytest

from flowdpo_pl.command_line.plain_flags import with_key_of_position, with_plain_flags
from flowdpo_pl.command_line.verbs import verb_named
from flowdpo_pl.errors import UserError


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
        ("ask", None),
        ("ask run --greedy question", "run --greedy=true question"),
        ("ask run --greedy false", None),
    ],
)
def test_a_flag_that_stands_alone_is_true(words: str, completed: str | None) -> None:
    verb, *given = words.split()
    assert with_plain_flags(verb_named(verb), given) == (given if completed is None else completed.split())


def test_a_further_word_has_the_key_that_it_stands_for() -> None:
    ask, compare = verb_named("ask"), verb_named("compare")
    question = "-3 + 5: how many? [1]"
    assert with_key_of_position(ask, ["run", "--seed", "3", question]) == [
        "run",
        "--seed=3",
        f"--question={question}",
    ]
    assert with_key_of_position(ask, ["run"]) == ["run"]
    assert with_key_of_position(compare, ["a", "b"]) == ["a", "b"]
    with pytest.raises(UserError, match="'many' is one word too many: put the question in quotes"):
        with_key_of_position(ask, ["run", "how", "many"])


def test_a_verb_of_several_takes_them_as_one_list() -> None:
    report = verb_named("report")
    assert with_key_of_position(report, ["a b", "--limit", "3", "c"]) == ['["a b", "c"]', "--limit=3"]
    assert with_key_of_position(report, ["null"]) == ['["null"]']
    assert with_key_of_position(report, ["--limit=3"]) == ["--limit=3"]
