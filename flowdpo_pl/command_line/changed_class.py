"""What stays of a setting's arguments when a config or an argument gives it another class."""

from __future__ import annotations

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
