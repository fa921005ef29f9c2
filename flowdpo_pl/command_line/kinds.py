"""What a value of a setting may be, read from its annotation as it is written."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass, replace
from functools import reduce

from flowdpo_pl.command_line.definitions import Definition, Parameter, definition

_LISTS = {"list", "tuple", "Sequence", "Iterable", "List", "Tuple", "set", "frozenset"}
_MAPPINGS = {"dict", "Mapping", "Dict"}
_SIMPLE = {"str", "int", "float", "bool", "None"}


@dataclass(frozen=True)
class Kind:
    """What a value may be; the parts of a union in one."""

    simple: frozenset[str] = frozenset()
    """Of `str`, `int`, `float`, `bool` and `None`."""
    choices: tuple[object, ...] = ()
    """The only values of a `Literal`."""
    owner: Definition | None = None
    """A class that is built from its own settings."""
    items: Kind | None = None
    """Of a list."""
    values: Kind | None = None
    """Of a mapping from any text."""
    unknown: bool = False
    """It may be other things, which only the parser knows."""

    @property
    def is_text(self) -> bool:
        """Whether every value is taken as it was typed, but for null."""
        return self.simple - {"None"} == {"str"} and not (self.choices or self.is_composed)

    @property
    def may_be_null(self) -> bool:
        return "None" in self.simple

    @property
    def is_composed(self) -> bool:
        """Whether a value may be more than one word."""
        return self.unknown or any(part is not None for part in (self.owner, self.items, self.values))

    def told(self) -> str:
        """In words, for a sentence that says what to give."""
        words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
        numbers = self.simple - {"int"} if "float" in self.simple else self.simple
        parts = [words[name] for name in words if name in numbers]
        if self.choices:
            parts.insert(0, ("one of " if len(self.choices) > 1 else "") + ", ".join(map(str, self.choices)))
        return " or ".join([*parts, *(["null"] if self.may_be_null else [])])

    def allows(self, value: object) -> bool:
        """Whether a plain value can be one; True where only the parser knows."""
        if (
            self.is_composed
            or isinstance(value, list | dict)
            or "str" in self.simple
            or value in self.choices
        ):
            return True
        if value is None:
            return self.may_be_null
        text = str(value).strip()
        return (
            ("bool" in self.simple and text.lower() in ("true", "false", "yes", "no", "on", "off"))
            or ("None" in self.simple and text.lower() in ("null", "~", ""))
            or ("int" in self.simple and not isinstance(value, bool) and _is_whole(text))
            or ("float" in self.simple and not isinstance(value, bool) and number_of(text) is not None)
        )


UNKNOWN = Kind(unknown=True)


def kind_of(parameter: Parameter) -> Kind:
    """The kind of an argument."""
    if parameter.annotation is None:
        return UNKNOWN
    return _kind(parameter.home, parameter.annotation)


def default_class(parameter: Parameter) -> Definition | None:
    """The class of an argument's default: `AnswerStopFlow()` is one of AnswerStopFlow."""
    if not isinstance(parameter.default, ast.Call):
        return None
    found = definition(parameter.home, ast.unparse(parameter.default.func))
    return found if isinstance(found, Definition) else None


def _kind(home: str, written: ast.expr) -> Kind:
    if isinstance(written, ast.Constant) and isinstance(written.value, str):
        return _kind(home, ast.parse(written.value, mode="eval").body)
    if isinstance(written, ast.BinOp):
        return _either(_kind(home, written.left), _kind(home, written.right))
    if isinstance(written, ast.Subscript):
        name = ast.unparse(written.value).rpartition(".")[2]
        inner = written.slice.elts if isinstance(written.slice, ast.Tuple) else [written.slice]
        if name in ("Optional", "Union"):
            null = [Kind(frozenset({"None"}))] if name == "Optional" else []
            return reduce(_either, [*(_kind(home, part) for part in inner), *null])
        if name == "Literal":
            return Kind(choices=tuple(part.value for part in inner if isinstance(part, ast.Constant)))
        if name in _LISTS:
            return Kind(items=_kind(home, inner[0]))
        if name in _MAPPINGS:
            return Kind(values=_kind(home, inner[1]))
        return UNKNOWN
    name = ast.unparse(written)
    if name in _SIMPLE:
        return Kind(frozenset({name}))
    found = definition(home, name)
    if found is not None and found.home.partition(".")[0] in sys.stdlib_module_names:
        return UNKNOWN  # such as a path
    if isinstance(found, Definition):
        return Kind(owner=found) if isinstance(found.node, ast.ClassDef) else UNKNOWN
    return UNKNOWN if found is None else _kind(found.home, found.written)


def _either(a: Kind, b: Kind) -> Kind:
    """What is of either kind."""
    return replace(
        a,
        simple=a.simple | b.simple,
        choices=a.choices + b.choices,
        owner=a.owner or b.owner,
        items=a.items or b.items,
        values=a.values or b.values,
        unknown=a.unknown or b.unknown,
    )


def number_of(value: object) -> float | None:
    """The number that a value is, as YAML writes it (`.inf`); None if it is none."""
    try:
        return float(re.sub(r"(?i)^([-+]?)\.(inf|nan)$", r"\1\2", str(value).strip()))
    except ValueError:
        return None


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d[\d_]*", text) is not None
