"""A key that stands alone and may be true is true: `--trainer.fast_dev_run`, `--dry_run`; and a word by
position that a key of the verb stands for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flowdpo_pl.command_line.given import Argument, arguments_of, given_by
from flowdpo_pl.command_line.places import Place, root_of
from flowdpo_pl.command_line.verbs import Verb
from flowdpo_pl.errors import UserError

_TRUTHS = ("true", "false", "yes", "no", "on", "off")


def with_plain_flags(verb: Verb, words: Sequence[str]) -> list[str]:
    """The words after a verb, each such key followed by `=true`, which the parser asks for."""
    root = root_of(verb, given_by(arguments_of(words)))
    following = [*words[1:], "--"][: len(words)]
    return [
        f"{word}=true" if _stands_alone(verb, word, after) and _may_be_true(root, word) else word
        for word, after in zip(words, following, strict=True)
    ]


def with_key_of_position(verb: Verb, words: Sequence[str]) -> list[str]:
    """The words after a verb, its second one by position with the key that it stands for; those of one that
    takes several as one list.

    Raises:
        UserError: there are more by position.
    """
    arguments = arguments_of(words)
    bare = [place for place, argument in enumerate(arguments) if not argument.key]
    if verb.further and len(bare) > 1:
        if len(bare) > 2:
            more = arguments[bare[2]].value
            raise UserError(f"'{more}' is one word too many: put the {verb.further} in quotes.")
        arguments[bare[1]] = Argument(verb.further, arguments[bare[1]].value)
    if verb.several and bare:
        listed = Argument("", json.dumps([arguments[place].value for place in bare], ensure_ascii=False))
        arguments = [listed, *(one for one in arguments if one.key)]
    return [argument.written() for argument in arguments]


def _stands_alone(verb: Verb, word: str, after: str) -> bool:
    """Whether no value follows; before a word by position nothing but true and false is one."""
    no_value = after.startswith("--") or (verb.by_position and after.lower() not in _TRUTHS)
    return word.startswith("--") and "=" not in word and no_value


def _may_be_true(root: Place, word: str) -> bool:
    place = root.at(word.removeprefix("--").split("."))
    return place is not None and "bool" in place.kind.simple
