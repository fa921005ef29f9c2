"""Text of the command line reaches its setting as it was typed; null and nothing unset an optional one.

The parser reads every value as YAML first. A text is marked before, which its loader sees, and unmarked
after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowdpo_pl.command_line.environment import from_environment
from flowdpo_pl.command_line.given import CLASS, Argument, arguments_of, given_by
from flowdpo_pl.command_line.places import Place, root_of, whole_path
from flowdpo_pl.command_line.verbs import verb_named
from flowdpo_pl.yaml_keys import require_single_keys

MARK = "\x02"
"""Before a text that is no YAML: the control character that starts a text, which nobody types."""


def for_parser(words: Sequence[str]) -> list[str]:
    """A command line, verb first, for the parser: texts marked, classes of ours whole, nothing as null.

    The parser of this process is made to read it.

    Raises:
        UserError: there is no such verb, or a config file cannot be read.
    """
    verb = verb_named(words[0] if words else "")
    arguments = arguments_of(words[1:])
    root = root_of(verb, given_by(arguments))
    _read_values(root)
    return [verb.name, *(_marked(root, argument).written() for argument in arguments)]


def _marked(root: Place, argument: Argument) -> Argument:
    keys = argument.key.removesuffix("+").split(".")
    value = argument.value
    if value is None or keys in (["config"], [""]):
        return argument
    if keys[-1] in ("help", CLASS):
        return Argument(argument.key, whole_path(value))
    place = root.at(keys)
    if place is None:
        return argument
    if value == "" and place.is_unset_by_nothing:
        return Argument(argument.key, "null")
    if place.kind.is_text and not argument.key.endswith("+"):
        return (
            argument if value == "null" and place.kind.may_be_null else Argument(argument.key, MARK + value)
        )
    if place.kind.owner is not None or (place.kind.items is not None and place.kind.items.owner is not None):
        return Argument(argument.key, whole_path(value))
    return argument


def unmarked(value: Any) -> Any:
    """A parsed config with its texts as they were typed."""
    from jsonargparse import Namespace

    if isinstance(value, str):
        return value.removeprefix(MARK)
    if isinstance(value, list | tuple):
        return type(value)(unmarked(inner) for inner in value)
    if isinstance(value, dict):
        return {key: unmarked(inner) for key, inner in value.items()}
    if isinstance(value, Namespace):
        return Namespace({key: unmarked(inner) for key, inner in vars(value).items()})
    return value


def _read_values(root: Place) -> None:
    """Make the parser of this process read values and configs so."""
    import yaml
    from jsonargparse import get_loader, set_dumper, set_loader

    def dump(config: Any) -> str:  # of `--print_config`, which ends before anything is unmarked
        return str(yaml.safe_dump(unmarked(config), allow_unicode=True, sort_keys=False))

    set_dumper("yaml", dump)
    load = get_loader("yaml")
    set_loader("yaml", _Loader(load.plain if isinstance(load, _Loader) else load, root), (yaml.YAMLError,))


class _Loader:
    """Reads as `plain` does, but for marked texts, for a null that has become `None`, and for repeated keys;
    in a config nothing is null and our classes need no package, as on the command line."""

    def __init__(self, plain: Callable[[str], Any], root: Place) -> None:
        self.plain = plain
        self._root = root

    def __call__(self, stream: str) -> Any:
        if stream.startswith(MARK):
            return stream
        if stream == "None":  # a null on its way to a key inside a class: the parser writes it anew
            return None
        text = from_environment(stream)
        require_single_keys(text)
        value = self.plain(text)
        return _completed(self._root, value) if isinstance(value, dict) else value


def _completed(place: Place, value: Any) -> Any:
    """What a config says at a place, nothing as null and our classes with their package."""
    if isinstance(value, dict):
        return {key: _completed_at(place, key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_completed(place.item(number, inner), inner) for number, inner in enumerate(value)]
    if value == "" and place.is_unset_by_nothing:
        return None
    return whole_path(value) if place.kind.owner is not None and isinstance(value, str) else value


def _completed_at(place: Place, key: Any, value: Any) -> Any:
    if key == CLASS and isinstance(value, str):
        return whole_path(value)
    if key == "init_args":
        return _completed(place, value)
    child = place.child(str(key))
    return value if child is None else _completed(child, value)
