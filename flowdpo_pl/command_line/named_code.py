"""What the parser would import for a config: each text that it takes for the name of a class or function.

It reads more than names: a text where a class is expected may be a file with a config of its own, and one
that is YAML is taken apart. Nothing is imported or opened here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowdpo_pl.command_line.given import CLASS
from flowdpo_pl.command_line.places import Place, whole_path
from flowdpo_pl.command_line.typed_text import MARK
from flowdpo_pl.results.foreign_yaml import TooLarge, value_of
from flowdpo_pl.results.trained_run import is_there

_TEXTS = ("prompts", "start", "base", "without_adapter", "path", "labels")
"""Keys of a module, of its team or of a source below which texts are texts."""


def named_code(
    config: Any, place: Place | None = None, key: str = "", are_texts: bool = False
) -> Iterator[str]:
    """The names as they are spelled, outer ones first; what is no name at all where one must stand, too.

    Args:
        config: the values, plain.
        place: what may stand there; None: nobody knows.
        key: the last one that leads there.
        are_texts: they lie below a key of texts.
    """
    are_texts = are_texts or key in _TEXTS or key.endswith(("_field", "_fields"))
    if isinstance(config, Mapping):
        yield from (str(value) for name, value in config.items() if _last(name) == CLASS)
        for name, value in config.items():
            if "." in str(name) and place is not None and place.owner is not None:
                yield str(name)  # no setting: the parser makes keys and settings of it
            if _last(name) != CLASS:
                inner = place.at(str(name).split(".")) if place is not None else None
                yield from named_code(value, inner, _last(name), are_texts)
    elif isinstance(config, list | tuple | set):
        for number, value in enumerate(config):
            inner = place.item(number, value) if place is not None else None
            yield from named_code(value, inner, key, are_texts)
    elif isinstance(config, str):
        yield from _of_text(config, place, are_texts)


def _of_text(text: str, place: Place | None, is_text: bool) -> Iterator[str]:
    bare = text.replace(MARK, "").strip()  # the mark is taken off on its way
    if (place is not None and _is_made(place, text)) or (not is_text and is_dotted(bare)):
        yield text
    elif place is None or not place.kind.is_text:
        try:
            inner = value_of(text)
        except TooLarge:
            yield text
        except ValueError:
            return
        else:
            if not isinstance(inner, str):
                yield from named_code(inner, are_texts=is_text)


def _is_made(place: Place, text: str) -> bool:
    """Whether something is made of a text there, by its name or as a file of settings.

    A word is one of the parser's own names, unless there is such a file.
    """
    kind = place.kind
    inner = kind.values is not None or kind.items is not None
    if text in kind.choices or not (kind.owner is not None or (inner and "str" not in kind.simple)):
        return False
    return not text.isidentifier() or is_there(whole_path(text))


def is_dotted(name: str) -> bool:
    """Whether it is a name with its module's, which alone the parser imports."""
    return "." in name and all(part.isidentifier() for part in name.split("."))


def _last(name: Any) -> str:
    return str(name).rpartition(".")[2]


def inner_values(config: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a config after the last key that leads to it, and every key as a value."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            yield "", str(name)
            yield _last(name), value
            yield from inner_values(value)
    elif isinstance(config, list | tuple | set):
        for value in config:
            yield "", value
            yield from inner_values(value)
