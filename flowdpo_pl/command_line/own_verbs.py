"""Runs a verb that is not the trainer's: the function of its name, its arguments from the command line.

One that looks ahead takes its own keys, and beside them, unread, the words that a run would have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from inspect import signature

from flowdpo_pl.command_line.given import Argument, arguments_of
from flowdpo_pl.command_line.places import own_keys
from flowdpo_pl.command_line.settings import require_settings
from flowdpo_pl.command_line.typed_text import for_parser, unmarked
from flowdpo_pl.command_line.verbs import Verb
from flowdpo_pl.errors import UserError


def run_own(verb: Verb, words: Sequence[str]) -> None:
    """Parse the words after the verb and run it.

    Raises:
        ArgumentError: the parser takes them not.
        UserError: a value is out of its range, or what the verb itself refuses.
    """
    from jsonargparse import auto_parser

    function = getattr(import_module(f"flowdpo_pl.verbs.{verb.name}"), verb.name)
    parser = auto_parser(
        function,
        prog=f"flowdpo_pl {verb.name}",
        as_positional=verb.by_position,
        allow_abbrev=False,
        exit_on_error=False,
    )
    placed = in_position(function, words) if verb.by_position else words
    _, *arguments = for_parser([verb.name, *placed])
    config = unmarked(parser.parse_args(arguments))
    require_settings(verb.name, config.as_dict())
    given = parser.instantiate(config)
    given.pop("config", None)
    function(**dict(given.items(branches=True, nested=False)))


def in_position(function: Callable[..., object], words: Sequence[str]) -> list[str]:
    """The words after a verb, with what it requires by position, also where that was given by key.

    Raises:
        UserError: one is given by key, and one before it not at all.
    """
    required = [one.name for one in signature(function).parameters.values() if one.default is one.empty]
    arguments = arguments_of(words)
    by_key = {one.key: one.value for one in arguments if one.key in required and one.value is not None}
    bare = [one.value or "" for one in arguments if not one.key]
    placed: list[str] = []
    for name in required if by_key else ():
        if name not in by_key and not bare:
            if set(by_key) & set(required[len(placed) :]):
                raise UserError(f"{name} is missing: give it as the first word, or by --{name}.")
            break
        value = by_key[name] if name in by_key else bare.pop(0)
        placed.append(value or "")
    rest = [one.written() for one in arguments if one.key and one.key not in by_key]
    return [*placed, *bare, *rest]


def run_ahead(verb: Verb, words: Sequence[str]) -> None:
    """Parse the words that are the verb's own and run it on the rest. A key that stands alone means true.

    Raises:
        ArgumentError: the parser takes them not.
        UserError: what the verb itself refuses.
    """
    from jsonargparse import ArgumentParser

    function = getattr(import_module(f"flowdpo_pl.verbs.{verb.name}"), verb.name)
    parser = ArgumentParser(prog=f"flowdpo_pl {verb.name}", exit_on_error=False)
    parser.add_function_arguments(function, skip={"run"})
    keys, arguments = own_keys(verb), arguments_of(words)
    mine = [one if one.value is not None else Argument(one.key, "true") for one in arguments]
    own = parser.parse_args([one.written() for one in mine if one.key in keys])
    function([one.written() for one in arguments if one.key not in keys], **own.as_dict())
