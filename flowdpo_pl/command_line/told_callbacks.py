"""The line that says which callbacks of a config a command line leaves out: one may have meant to add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flowdpo_pl.command_line.given import CLASS, arguments_of, given_by
from flowdpo_pl.errors import some_of

_KEY = "trainer.callbacks"


def told_callbacks(words: Sequence[str]) -> str | None:
    """
    Args:
        words: those after the verb.

    Returns:
        None where `--trainer.callbacks=..` leaves no callback of a config out, or all on purpose (null).

    Raises:
        UserError: a config can't be read.
    """
    arguments = arguments_of(words)
    places = [place for place, argument in enumerate(arguments) if argument.key == _KEY]
    if not places:
        return None
    before, after = (given_by(arguments[:end]) for end in (places[0], places[-1] + 1))
    named, left = list(_names(after)), [name for name in _names(before) if name not in _names(after)]
    if not (named and left):
        return None
    return (
        f"--{_KEY} stands for the whole list: {some_of(named, 3)} without {some_of(left, 8)} of the config; "
        f"--{_KEY}+={named[0]} adds to it"
    )


def _names(given: Any) -> Iterator[str]:
    """The classes of the callbacks, without their packages."""
    trainer = given.get("trainer")
    entries = trainer.get("callbacks") if isinstance(trainer, dict) else None
    for entry in entries if isinstance(entries, list) else [entries]:
        path = entry.get(CLASS) if isinstance(entry, dict) else entry
        if isinstance(path, str) and path not in ("", "null", "None"):
            yield path.rpartition(".")[2]
