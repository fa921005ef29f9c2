"""YAML that others may have written: read, or refused in a sentence, and never larger than it looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowdpo_pl.results.foreign_file import read_as
from flowdpo_pl.yaml_depth import MOST, is_too_deep

_MOST = 100_000
"""Values of a config, as often as aliases repeat them; a run's own has some hundreds."""
_CHARACTERS = 64
"""Of a text that count as another value."""
_TOO_DEEP = f"it is nested deeper than {MOST} values"
_NOT_READ = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What PyYAML raises beside its own errors for values that are none, such as `2024-13-45` or `!!bool x`."""


class TooLarge(ValueError):
    """Few lines of YAML that stand for more values than anybody could go through."""


def read_yaml(file: Path, what: str) -> Any:
    """The value that the file holds, whatever that is.

    Args:
        file: where it is said to lie.
        what: what it should be, for the message, such as "the config of a run".

    Raises:
        UserError: it is no plain file, can't be opened, or holds no YAML in UTF-8, or too much of it.
    """
    return read_as("YAML", value_of, file, what)


def value_of(text: str) -> Any:
    """The value that a text is as YAML, made of plain ones.

    Raises:
        TooLarge: its aliases make too much of it, or it is nested too deep.
        ValueError: it is no YAML, or a value in it is none of its kind.
    """
    import yaml

    if is_too_deep(text):
        raise TooLarge(_TOO_DEEP)
    try:
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _size(node, {})  # before anything is made of it: merged keys are copied then
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except TooLarge:
        raise
    except (yaml.YAMLError, *_NOT_READ) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _size(node: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Values and depth below a node, with all that its aliases stand for; a node is looked at once.

    Raises:
        TooLarge: they are too many, it is too deep, or it holds itself.
    """
    import yaml

    if id(node) in known:
        values, depth = known[id(node)]
    elif isinstance(node, yaml.ScalarNode):
        values, depth = 1 + len(node.value) // _CHARACTERS, 1
    else:
        known[id(node)] = (_MOST + 1, 1)  # until it is known: whoever meets it meanwhile is inside of it
        pairs = isinstance(node, yaml.MappingNode)
        inner = [part for pair in node.value for part in pair] if pairs else node.value
        sizes = [_size(part, known) for part in inner]
        values = 1 + sum(size for size, _ in sizes)
        depth = 1 + max((deep for _, deep in sizes), default=0)
    known[id(node)] = (values, depth)
    if values > _MOST:
        raise TooLarge(f"its aliases stand for more than {_MOST:,} values")
    if depth > MOST:
        raise TooLarge(_TOO_DEEP)
    return values, depth
