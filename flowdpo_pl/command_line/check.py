"""Refuses a wrong key, class or plain value of a command line before anything heavy is imported.

What cannot be known from sources alone is left to the parser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowdpo_pl.command_line.definitions import class_at, exported, source
from flowdpo_pl.command_line.files import require_files
from flowdpo_pl.command_line.given import (
    CLASS,
    Argument,
    arguments_of,
    flattened,
    given_by,
    is_in_place,
    read_config,
    read_value,
    with_argument,
)
from flowdpo_pl.command_line.kinds import number_of
from flowdpo_pl.command_line.places import LIGHTNING_PACKAGES, OWN_PACKAGES, Place, root_of, whole_path
from flowdpo_pl.command_line.verbs import Verb
from flowdpo_pl.errors import UserError
from flowdpo_pl.suggestions import nearest

SEED_KEY = "seed_everything"
"""What a run's seed is called; `model.seed` and `data.seed` are linked to it."""
_NOT_KEYS = (CLASS, "dict_kwargs", "__path__")


def require_right(verb: Verb, words: Sequence[str]) -> None:
    """Check the words after a verb, and that the files are there which a run begins with.

    Raises:
        UserError: see `check_arguments` and `require_files`.
    """
    arguments = arguments_of(words)
    check_arguments(verb, arguments)
    if verb.is_trainer_s:
        require_files(verb, root_of(verb, given_by(arguments)))


def check_arguments(verb: Verb, arguments: Sequence[Argument]) -> None:
    """Check every config file and every argument, each by the classes that are named up to it.

    Raises:
        UserError: names the file or argument, the whole key, and what was probably meant.
    """
    given: dict[str, Any] = {}
    for argument in arguments:
        given = with_argument(given, argument)
        root = root_of(verb, given)
        if argument.key == "config" and argument.value is not None:
            content = read_config(argument.value)
            if isinstance(content, Mapping):
                name = "--config" if is_in_place(argument.value) else argument.value
                _check(root, root, flattened(content), f"{name}: ")
        elif argument.key:
            _check_argument(root, argument)


def _check_argument(root: Place, argument: Argument) -> None:
    keys = argument.key.removesuffix("+").split(".")
    if keys[-1] == "help":
        keys.pop()
    place: Place | None = root
    for number, key in enumerate(keys):
        if place is None or key in ("init_args", "dict_kwargs"):
            continue
        if key == CLASS:
            if argument.value is not None:
                _check_class(place, argument.value, "")
            return
        _require_key(root, place, key, keys[number:], "--")
        place = place.child(key)
    value = argument.value
    if place is None or value is None:
        return
    if argument.key.endswith(".help"):
        _check_class(place, value, "--")
    elif not place.kind.is_composed:
        _check_plain(place, value, "--")
    elif not isinstance(content := read_value(value), str):
        _check(root, place, content, "--")
    elif place.kind.owner is not None:
        _check_class(place, value, "--")


def _check(root: Place, place: Place, value: Any, where: str) -> None:
    """Check what a config says at a place and below."""
    if isinstance(value, Mapping):
        if isinstance(named := value.get(CLASS), str):
            _check_class(place, named, where)
        for key, inner in value.items():
            if key not in _NOT_KEYS:
                _require_key(root, place, key, [key], where)
                if (child := place.child(key)) is not None:
                    _check(root, child, inner, where)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check(root, place.item(number, inner), inner, where)
    elif place.kind.owner is not None and isinstance(value, str):
        _check_class(place, value, where)
    elif place.parameter is not None:
        _check_plain(place, value, where)


def _require_key(root: Place, place: Place, key: str, keys: list[str], where: str) -> None:
    if not place.knows_all() or key in place.children():
        return
    owner = place.owner
    there = place.key or "the verb"
    of = f" ({owner.name})" if owner is not None and place.key else ""
    wrong = f"{place.key}.{'.'.join(keys)}" if place.key else ".".join(keys)
    raise UserError(f"{where}{wrong}: {there}{of} has no key '{key}'{_meant(root, place, key, keys)}")


def _meant(root: Place, place: Place, key: str, keys: list[str]) -> str:
    """The key that was probably meant: of this place, or of the same name elsewhere."""
    here = list(place.children())
    near = SEED_KEY if key == "seed" and not place.key else nearest(key, here)
    if near is not None:
        rest = ".".join([near, *keys[1:]])
        return f": did you mean {place.key}.{rest}?" if place.key else f": did you mean {rest}?"
    everywhere = [leaf.key for leaf in root.leaves()]
    alike = [known for known in everywhere if known.rpartition(".")[2] == keys[-1]]
    if alike:
        return f": did you mean {' or '.join(alike[:3])}?"
    near = nearest(keys[-1], [known.rpartition(".")[2] for known in everywhere])
    if near is not None:
        return f": did you mean {next(known for known in everywhere if known.rpartition('.')[2] == near)}?"
    return f"; it has {', '.join(name for name in here if name not in ('help', 'print_config'))}."


def _check_class(place: Place, named: str, where: str) -> None:
    """Refuse a class that its package, found here, does not have."""
    path = whole_path(named)
    package, _, name = path.rpartition(".")
    key = place.key
    if not name.isidentifier() or class_at(path) is not None:
        return
    if not package and any(name in exported(one) for one in LIGHTNING_PACKAGES):
        return
    if not package:
        ours = [f"{one}.{known}" for one in OWN_PACKAGES for known in exported(one)]
        near = nearest(name, [known.rpartition(".")[2] for known in ours])
        if near is not None and not place.kind.simple - {"None"} and not place.kind.choices:
            whole = next(known for known in ours if known.endswith(f".{near}"))
            raise UserError(f"{where}{key}: there is no class '{named}': did you mean {whole}?")
        return
    if source(package) is None:
        if package.split(".")[0] in OWN_PACKAGES:
            raise UserError(
                f"{where}{key}: there is no module '{package}'; classes are named as flowdpo_pl.Team."
            )
        return
    if known := exported(package):
        near = nearest(name, known)
        meant = f"did you mean {package}.{near}?" if near else f"it has {', '.join(known)}."
        raise UserError(f"{where}{key}: {package} has no '{name}': {meant}")


def _check_plain(place: Place, value: Any, where: str) -> None:
    if isinstance(value, str) and "{" in value:  # a placeholder
        return
    if place.kind.allows(value):
        _check_range(place, value, where)
        return
    near = nearest(str(value), [str(choice) for choice in place.kind.choices])
    meant = f" Did you mean {near}?" if near else ""
    raise UserError(f"{where}{place.key} is {value!r}: give {place.kind.told()}.{meant}")


def _check_range(place: Place, value: Any, where: str) -> None:
    allowed = place.parameter.allowed if place.parameter is not None else None
    if allowed is None or isinstance(value, bool):
        return
    number = number_of(value)
    if number is not None and number not in allowed:
        raise UserError(f"{where}{place.key} is {value}: give {allowed}.")
