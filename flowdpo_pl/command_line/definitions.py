"""Classes and functions as their source tells of them, found and read without importing them.

Importing a module of this project means importing torch, which takes seconds; its source says the same of the
arguments at once. Who cannot be found so (a class made at run time, a compiled module) is None: unknown,
not wrong.
"""

from __future__ import annotations

import ast
import inspect
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from flowdpo_pl import errors
from flowdpo_pl.errors import Range

_HOMES = "_HOMES"
"""The table in which a package that imports its names late says where they live."""
_WITHOUT_ARGUMENTS = {"ABC", "object", "Protocol", "Generic"}
Node: TypeAlias = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Parameter:
    """An argument of a class or function, as it is written."""

    name: str
    home: str
    """The module that its annotation is written in."""
    annotation: ast.expr | None
    default: ast.expr | None
    """None: it must be given."""
    meaning: str
    allowed: Range | None = None
    """What its class requires of a number (`require_within`); None if that is not written plainly."""


@dataclass(frozen=True)
class Signature:
    """What a class or function takes."""

    parameters: tuple[Parameter, ...]
    open: bool = False
    """It takes more, by any name (`**kwargs`)."""


@dataclass(frozen=True)
class Definition:
    """A class or function where it is defined."""

    home: str
    """Its module."""
    node: Node

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def is_dataclass(self) -> bool:
        return any("dataclass" in ast.unparse(decorator) for decorator in self.node.decorator_list)

    @property
    def summary(self) -> str:
        """The first paragraph of its docstring, in one line."""
        return _joined((ast.get_docstring(self.node) or "").partition("\n\n")[0])

    def bases(self) -> Iterator[Definition | None]:
        """The classes that it names as its own; None for one that is not found."""
        for base in self.node.bases if isinstance(self.node, ast.ClassDef) else ():
            written = base.value if isinstance(base, ast.Subscript) else base
            found = definition(self.home, ast.unparse(written))
            yield found if isinstance(found, Definition) else None

    def signature(self) -> Signature | None:
        """What it takes; None if that is not written in a source that is found."""
        return _signature(self)

    def fields(self) -> Iterator[Parameter]:
        """The fields of a dataclass; a text below a field says what it means."""
        assert isinstance(self.node, ast.ClassDef)
        told, bounds = _meanings(self.node), _bounds(self.node)
        for place, part in enumerate(self.node.body):
            if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
                continue
            if "ClassVar" in ast.unparse(part.annotation) or "init=False" in ast.unparse(part):
                continue
            after = self.node.body[place + 1] if place + 1 < len(self.node.body) else None
            below = _text(after)
            name = part.target.id
            meaning = _joined(below) or told.get(name, "")
            default = _made_default(part.value)
            yield Parameter(name, self.home, part.annotation, default, meaning, bounds.get(name))


@cache
def _signature(of: Definition) -> Signature | None:
    if isinstance(of.node, ast.FunctionDef):
        return _of_function(of, of.node, _meanings(of.node))
    for part in of.node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return _of_function(of, part, _meanings(of.node) | _meanings(part), skipped=1)
    inherited = [base.signature() for base in of.bases() if base is not None]
    if of.is_dataclass:
        before = [parameter for base in inherited if base for parameter in base.parameters]
        own = {parameter.name: parameter for parameter in [*before, *of.fields()]}
        return Signature(tuple(own.values()))
    of_base = next((base for base in inherited if base is not None), None)
    bare = all(ast.unparse(base).partition("[")[0] in _WITHOUT_ARGUMENTS for base in of.node.bases)
    return Signature(()) if bare else of_base


@dataclass(frozen=True)
class Alias:
    """A name that stands for an expression, such as a union of types."""

    home: str
    written: ast.expr


def definition(home: str, written: str) -> Definition | Alias | None:
    """What a name (`Team`) or dotted path (`flowdpo_pl.Team`) means in a module.

    Returns:
        Where it is defined, or the expression that it stands for; None if it is not found.
    """
    first, _, rest = written.partition(".")
    if not rest:
        return _named(home, first)
    imported = _imports(home).get(first) if home else None
    module, _, name = (f"{imported}.{rest}" if imported else written).rpartition(".")
    return _named(module, name)


def class_at(path: str) -> Definition | None:
    """The class or function of a whole dotted path."""
    if not re.fullmatch(r"\w+(\.\w+)+", path):
        return None
    found = definition("", path)
    return found if isinstance(found, Definition) else None


def exported(package: str) -> tuple[str, ...]:
    """The public names of a package, by its `__all__` or its table of homes."""
    tree = source(package)
    for name, value in _assigned(tree) if tree else ():
        if name == _HOMES:
            return tuple(ast.literal_eval(value))
        if name == "__all__" and isinstance(value, ast.List):
            listed = [item.value for item in value.elts if isinstance(item, ast.Constant)]
            if listed:
                return tuple(str(item) for item in listed)
    return ()


@cache
def source(module: str) -> ast.Module | None:
    """The syntax tree of a module that is found in its files, not imported."""
    file = _file(module)
    if file is None:
        return None
    with tokenize.open(file) as text:
        return ast.parse(text.read())


def _file(module: str) -> Path | None:
    first, *inner = module.split(".")
    try:
        spec = find_spec(first)  # of a package at the top nothing is imported
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not inner:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in map(Path, spec.submodule_search_locations or ()):
        place = folder.joinpath(*inner)
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


@cache
def _named(module: str, name: str) -> Definition | Alias | None:
    tree = source(module)
    if tree is None:
        return None
    for part in _statements(tree):
        if isinstance(part, ast.ClassDef | ast.FunctionDef) and part.name == name:
            return Definition(module, part)
    for assigned, value in _assigned(tree):
        if assigned == name:
            return Alias(module, value)
        if assigned == _HOMES and name in (homes := ast.literal_eval(value)):
            return _named(f"{module}.{homes[name]}", name)
    if name in (imported := _imports(module)):
        home, _, original = imported[name].rpartition(".")
        return _named(home, original) if home else None
    return None


@cache
def _imports(module: str) -> dict[str, str]:
    """What a module imports, by the name it has there."""
    tree = source(module)
    found: dict[str, str] = {}
    for part in _statements(tree) if tree else ():
        if isinstance(part, ast.ImportFrom):
            above = module.split(".")[: -part.level] if part.level else []
            home = ".".join([*above, *([part.module] if part.module else [])])
            found |= {alias.asname or alias.name: f"{home}.{alias.name}" for alias in part.names}
        elif isinstance(part, ast.Import):
            found |= {alias.asname: alias.name for alias in part.names if alias.asname}
    return found


def _statements(tree: ast.Module | ast.If | ast.Try) -> Iterator[ast.stmt]:
    """The statements of a module, those for type checkers included."""
    for part in tree.body:
        yield part
        if isinstance(part, ast.If | ast.Try):
            yield from _statements(part)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for part in _statements(tree):
        if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            yield part.targets[0].id, part.value
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.value:
            yield part.target.id, part.value


def _of_function(
    owner: Definition, function: ast.FunctionDef, meanings: dict[str, str], skipped: int = 0
) -> Signature:
    given = function.args
    by_position = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(by_position) - len(given.defaults)) + [*given.defaults]
    pairs = [*zip(by_position, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    bounds = _bounds(function)
    parameters = (
        Parameter(
            arg.arg, owner.home, arg.annotation, default, meanings.get(arg.arg, ""), bounds.get(arg.arg)
        )
        for arg, default in pairs[skipped:]
    )
    return Signature(tuple(parameters), open=given.kwarg is not None)


def _bounds(node: Node) -> dict[str, Range]:
    """The ranges that a class or function requires of its own arguments, by argument."""
    found: dict[str, Range] = {}
    for call in ast.walk(node):
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "require_within":
            continue
        allowed, settings = call.args
        known = vars(errors).get(ast.unparse(allowed))
        if isinstance(known, Range) and isinstance(settings, ast.Dict):
            keys = (key.value for key in settings.keys if isinstance(key, ast.Constant))
            found |= {str(key).rpartition(".")[2]: known for key in keys}
    return found


def _made_default(value: ast.expr | None) -> ast.expr | None:
    """`field(default_factory=Start)` has the default that `Start()` makes."""
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "field":
        for keyword in value.keywords:
            if keyword.arg == "default":
                return keyword.value
            if keyword.arg == "default_factory":
                return ast.Call(keyword.value, [], [])
        return None
    return value


def _text(part: ast.stmt | None) -> str:
    """The text that stands there alone; empty for any other statement."""
    value = part.value if isinstance(part, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _meanings(node: Node) -> dict[str, str]:
    """What the section `Args:` of a docstring says, by argument."""
    doc = ast.get_docstring(node) or ""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", doc, re.MULTILINE | re.DOTALL)
    told: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n" + section[1]).splitlines() if section else ():
        if start := re.match(r"(\w+)(?: \([^)]*\))?: ?(.*)", line):
            name, told[start[1]] = start[1], start[2]
        elif name:
            told[name] += "\n" + line
    return {name: _joined(text) for name, text in told.items()}


def _joined(text: str) -> str:
    return " ".join(text.split())
