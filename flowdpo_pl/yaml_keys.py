"""A YAML key that stands twice in one place: refused, where YAML's readers silently take the last one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.yaml_depth import is_too_deep


def require_single_keys(text: str) -> None:
    """Refuse a YAML text in which a mapping has a key twice; text that is no YAML is left to its reader.

    Raises:
        UserError: names the key with those that lead to it, and both lines.
    """
    import yaml

    if ":" not in text or is_too_deep(text):
        return  # a plain value of the command line; what nobody reads
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        found = next(_repeated(root, ()), None)
    except (yaml.YAMLError, RecursionError):
        return
    if found is not None:
        path, first, again = found
        raise UserError(
            f"the config has the key {'.'.join(path)} twice, in line {first} and in line {again}: keep one"
        )


def _repeated(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Each repeated key with its path from the root, and its lines, from 1."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _repeated(item, (*path, str(number)))
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        name = str(key.value)
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and name != "<<" and name in lines:
            yield (*path, name), lines[name], line
        lines.setdefault(name, line)
        yield from _repeated(value, (*path, name))
