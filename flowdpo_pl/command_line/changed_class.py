"""Which class a name means, and what stays of a setting's arguments when it is given another class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace, _typehints
from jsonargparse._typehints import ActionTypeHint


def carry_over_only_what_was_given() -> None:
    """Let a class keep its own defaults where it takes another one's place.

    jsonargparse carries every argument over that both classes have, the first one's defaults too: a flow of
    one's own would silently have the chunks of the default flow, an evaluation the temperature of training.
    """
    if getattr(_typehints.discard_init_args_on_class_path_change, "__module__", "") == __name__:
        return
    discard = _typehints.discard_init_args_on_class_path_change

    def discard_defaults(parser_or_action: Any, before: Any, after: Any) -> None:
        arguments = before.get("init_args") if isinstance(before, Namespace) else None
        if arguments and before["class_path"] != after["class_path"]:
            defaults = ActionTypeHint.get_class_parser(before["class_path"], {}).get_defaults()
            for key, value in list(arguments.items(branches=True, nested=False)):
                if key in defaults and defaults[key] == value:
                    arguments.pop(key)
        discard(parser_or_action, before, after)

    _typehints.discard_init_args_on_class_path_change = discard_defaults


def take_ours_for(ours: Mapping[str, str]) -> None:
    """Let the name of a class, short or whole, mean another one.

    Args:
        ours: by a class's path, that of the one that stands for it; which may be named without its package.
    """
    if getattr(_typehints.resolve_class_path_by_name, "__module__", "") == __name__:
        return
    resolve = _typehints.resolve_class_path_by_name
    by_name = {path.rpartition(".")[2]: path for path in ours.values()}

    def resolved(cls: Any, name: str) -> str:
        path: str = by_name.get(name) or resolve(cls, name)
        return ours.get(path, path)

    _typehints.resolve_class_path_by_name = resolved
