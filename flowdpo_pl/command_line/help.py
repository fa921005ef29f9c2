"""What `fit --help` and `--model.help FlowDPOModule` print: keys, defaults, meanings, from sources."""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from flowdpo_pl.command_line.definitions import Node, Parameter
from flowdpo_pl.command_line.given import CLASS, arguments_of, given_by
from flowdpo_pl.command_line.kinds import Kind
from flowdpo_pl.command_line.places import Place, root_of, whole_path
from flowdpo_pl.command_line.verbs import PROGRAM, Verb

_MOST_CHOICES = 5
_ASIDE = ("config", "help", "print_config", "model", "data", "trainer")


def page_asked_for(verb: Verb, words: Sequence[str]) -> str | None:
    """The page that the words after a verb that takes a run ask for; None if they ask for none that is here.

    Raises:
        UserError: a config file cannot be read.
    """
    arguments = arguments_of(words)
    asked = next((one for one in arguments if one.key.rpartition(".")[2] == "help"), None)
    if asked is None or not verb.takes_a_run:
        return None
    root = root_of(verb, given_by([one for one in arguments if one != asked]))
    if asked.key == "help":
        return verb_page(verb, root)
    place = root.at(asked.key.split(".")[:-1])
    if place is None:
        return None
    if asked.value:
        place = replace(place, given={CLASS: whole_path(asked.value)})
    return class_page(place) if place.owner is not None else None


def verb_page(verb: Verb, root: Place, width: int | None = None) -> str:
    """The help of a verb that takes a run: an example, the module's keys, the data's, then the trainer's."""
    lines = [f"usage: {PROGRAM} {verb.name} --config FILE [--config FILE …] [--key=value …]", ""]
    lines += [
        f"{verb.meaning[0].upper()}{verb.meaning[1:]}. For example:",
        "",
        f"  {PROGRAM} {verb.example}",
        "",
    ]
    if verb.of_run:
        run = "--run runs/quickstart"
        lines += [f"Or of a finished run, with its agents and verifier: {PROGRAM} {verb.name} {run} …", ""]
    lines += ["A later config or key goes before an earlier one; null unsets what may be unset.", ""]
    for key in ("model", "data"):
        place = root.fixed[key]
        owner = place.owner
        if owner is not None:
            named = _path(place)
            lines += [f"{key}: {named}", *_wrapped(owner.summary, 2, width), ""]
            lines += [*_table(_each_class_once(place), width), ""]
            lines += [f"  whole explanations: {PROGRAM} {verb.name} --{key}.help {owner.name}", ""]
    rest = [place for key, place in root.fixed.items() if key not in _ASIDE and place.parameter]
    lines += ["of the verb:", *_table(rest, width), ""]
    trainer = root.fixed["trainer"]
    lines += ["the trainer (Lightning's; a config's `callbacks` are in docs/runs.md):"]
    lines += [*_table(trainer.children().values(), width), ""]
    return "\n".join(
        [*lines, "`--print_config` prints what a config and keys come to. More in docs/configs.md."]
    )


def class_page(place: Place, width: int | None = None) -> str:
    """A class's keys at this place, with their whole explanations."""
    owner = place.owner
    assert owner is not None
    lines = [f"{place.key}: {_path(place)}", *_wrapped(owner.summary, 2, width), ""]
    for leaf in _each_class_once(place):
        lines += [f"--{leaf.key}{_default(leaf)}"]
        lines += _wrapped(leaf.parameter.meaning if leaf.parameter else "", 4, width)
    return "\n".join(lines)


def _each_class_once(place: Place) -> Iterator[Place]:
    """The leaves; for any name where keys are names; the key alone where a class stands again beside one.

    `data.test` has the keys of `data.train`.
    """
    shown: dict[tuple[str, Node], str] = {}
    named = place.kind.values is not None and place.kind.values.owner is not None and not place.children()
    below = [place.child("NAME")] if named else place.children().values()
    for child in filter(None, below):
        owner = child.owner
        before = (
            shown.setdefault((child.key.rpartition(".")[0], owner.node), child.key) if owner else child.key
        )
        if before != child.key:
            told = f"its keys are those of {before}"
            yield Place(
                child.key, child.kind, parameter=Parameter(child.key, "", None, ast.Constant(None), told)
            )
        elif inner := list(_each_class_once(child)):
            yield from inner
        else:
            yield child


def _path(place: Place) -> str:
    owner = place.owner
    assert owner is not None
    package = owner.home.split(".")[0]
    return f"{package}.{owner.name}"


def _table(places: Iterable[Place], width: int | None) -> list[str]:
    rows = [(f"--{place.key}", _default(place), place) for place in places]
    left = min(44, max((len(key) for key, _, _ in rows), default=0))
    lines = []
    for key, default, place in rows:
        meaning = _first_sentence(place.parameter.meaning if place.parameter else "")
        told = f"{default.strip()}  {meaning}" if default else meaning
        inner = _wrapped(told, left + 4, width) or [""]
        if len(key) <= left:
            lines.append(f"  {key:<{left}}  {inner[0].strip()}".rstrip())
        else:
            lines += [f"  {key}", inner[0]]
        lines += inner[1:]
    return lines


def _default(place: Place) -> str:
    parameter = place.parameter
    if parameter is None:
        return ""
    if parameter.default is None:
        return "  (required)"
    if isinstance(parameter.default, ast.Call):
        return f"  [{_name(ast.unparse(parameter.default.func))}]"
    text = parameter.default.value if isinstance(parameter.default, ast.Constant) else None
    written = text if isinstance(text, str) and text else ast.unparse(parameter.default)
    shown = {"None": "null", "True": "true", "False": "false", "''": "empty", "()": "[]"}.get(
        written, written
    )
    return f"  [{shown}]{_choices(place.kind)}"


def _choices(kind: Kind) -> str:
    return f" {'|'.join(map(str, kind.choices))}" if 1 < len(kind.choices) <= _MOST_CHOICES else ""


def _name(path: str) -> str:
    return path.rpartition(".")[2].replace("dict", "{}").replace("list", "[]")


def _first_sentence(text: str) -> str:
    text = re.sub(r":\w+:`~?", "`", text.replace("``", "`"))
    for end in (". ", "; "):
        text = text.partition(end)[0]
    return text.rstrip(".").strip()


def _wrapped(text: str, indent: int, width: int | None) -> list[str]:
    columns = width or min(120, shutil.get_terminal_size((100, 24)).columns)
    return textwrap.wrap(
        text, columns, initial_indent=" " * indent, subsequent_indent=" " * indent, break_on_hyphens=False
    )
