"""Runs a verb that is not the trainer's: the function of its name, its arguments from the command line.

One that looks ahead takes its own keys, and beside them, unread, the words that a run would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from flowdpo_pl.command_line.given import Argument, arguments_of
from flowdpo_pl.command_line.places import own_keys
from flowdpo_pl.command_line.settings import require_settings
from flowdpo_pl.command_line.typed_text import for_parser, unmarked
from flowdpo_pl.command_line.verbs import Verb


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
    _, *arguments = for_parser([verb.name, *words])
    config = unmarked(parser.parse_args(arguments))
    require_settings(verb.name, config.as_dict())
    given = parser.instantiate(config)
    given.pop("config", None)
    function(**dict(given.items(branches=True, nested=False)))


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
