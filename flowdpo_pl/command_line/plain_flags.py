"""A key that stands alone and may be true is true: `--trainer.fast_dev_run`, `--dry_run`."""

from __future__ import annotations

from collections.abc import Sequence

from flowdpo_pl.command_line.given import arguments_of, given_by
from flowdpo_pl.command_line.places import Place, root_of
from flowdpo_pl.command_line.verbs import Verb


def with_plain_flags(verb: Verb, words: Sequence[str]) -> list[str]:
    """The words after a verb, each such key followed by `=true`, which the parser asks for."""
    root = root_of(verb, given_by(arguments_of(words)))
    following = [*words[1:], "--"]
    return [
        f"{word}=true" if _stands_alone(word, after) and _may_be_true(root, word) else word
        for word, after in zip(words, following, strict=True)
    ]


def _stands_alone(word: str, after: str) -> bool:
    return word.startswith("--") and "=" not in word and after.startswith("--")


def _may_be_true(root: Place, word: str) -> bool:
    place = root.at(word.removeprefix("--").split("."))
    return place is not None and "bool" in place.kind.simple
