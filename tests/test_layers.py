"""Imports point down, never in a circle, and heavy libraries wait until they are needed."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import flowdpo_pl

ROOT = Path(__file__).parents[1]
FACE = (
    "types",
    "errors",
    "draws",
    "distributed",
    "yaml_depth",
    "yaml_keys",
    "quiet",
    "visible",
    "suggestions",
    "made_with",
    "tested_versions",
)
"""Files directly in `flowdpo_pl` that every folder may import."""
ORDER = (
    "model",
    "verify",
    "data",
    "play",
    "measure",
    "results",
    "learn",
    "plan",
    "view",
    "report",
    "modules",
    "command_line",
    "cli",
    "verbs",
    "__main__",
)
"""Folders of `flowdpo_pl`, and its two files for the command line: each imports only the face and what stands
before it."""
FOR_CALLBACKS = {"types", "errors", "visible", "made_with", "results"}
"""What `callbacks` may import of `flowdpo_pl`."""
ROOMS_OF_CALLBACKS = ("watching", "files", "screen", "summary")
"""Folders of `callbacks`, in the order of imports; the callbacks themselves come after them."""
WITH_LIGHTNING = {"modules", "cli"}
HEAVY = {
    *(
        "bitsandbytes",
        "datasets",
        "gguf",
        "math_verify",
        "matplotlib",
        "pandas",
        "peft",
        "plotly",
        "pyarrow",
        "rich",
    ),
    *("safetensors", "sympy", "tokenizers", "transformers"),
}
WITHOUT_TORCH = (
    "__main__",
    "learn.packing",
    "learn.pairs",
    "data.problem_stream",
    "play.rollouts",
    "results.tree_io",
    "verify.function_worker",
    "verify.math_verifier",
)
"""Modules that a flow without weights, a judge's worker and the light verbs need."""


@dataclass(frozen=True)
class Import:
    """A module that a file imports."""

    name: str
    at_start: bool
    """Whether importing the file runs it: neither inside a function nor for type checkers only."""


class ImportReader(ast.NodeVisitor):
    """Collects what a file imports."""

    def __init__(self) -> None:
        self.found: set[Import] = set()
        self._at_start = True

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {Import(alias.name, self._at_start) for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0 and node.module, "imports are absolute here"
        for alias in node.names:  # the name may be a module itself, or a thing inside one
            inner = f"{node.module}.{alias.name}"
            self.found.add(Import(inner if inner in OURS else node.module, self._at_start))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_later(node)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            self._visit_later(node)
        else:
            self.generic_visit(node)

    def _visit_later(self, node: ast.AST) -> None:
        outside, self._at_start = self._at_start, False
        self.generic_visit(node)
        self._at_start = outside


def modules(package: str) -> dict[str, Path]:
    """Files of a package by module name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


CORE, CALLBACKS = modules("flowdpo_pl"), modules("callbacks")
OURS = CORE | CALLBACKS


def imports(module: str) -> set[Import]:
    reader = ImportReader()
    reader.visit(ast.parse(OURS[module].read_text(encoding="utf-8")))
    return reader.found


def own_imports(module: str) -> set[str]:
    return {found.name for found in imports(module)} & OURS.keys()


def test_the_reader_tells_late_imports_from_early_ones() -> None:
    reader = ImportReader()
    reader.visit(
        ast.parse("import a\nif TYPE_CHECKING:\n  import b\nclass C:\n  def f(self):\n    import c\n")
    )
    assert reader.found == {Import("a", True), Import("b", False), Import("c", False)}


def room(module: str) -> str:
    """The folder that a module of `flowdpo_pl` is in, or its own name where it is in none."""
    return module.removeprefix("flowdpo_pl").lstrip(".").partition(".")[0]


def may_import(room: str) -> set[str]:
    """Rooms that a room may import: itself, the face, and what stands before it."""
    if room in FACE:
        return set(FACE[: FACE.index(room)])
    return {*FACE, *ORDER[: ORDER.index(room)], room}


def test_every_module_is_in_a_room_of_the_order() -> None:
    assert {room(module) for module in CORE} - {""} == {*FACE, *ORDER}


@pytest.mark.parametrize("module", [module for module in CORE if room(module)])
def test_imports_point_down(module: str) -> None:
    rooms = {"", *may_import(room(module))}  # the package itself holds its version, and imports nothing
    above = {name for name in own_imports(module) & CORE.keys() if room(name) not in rooms}
    assert not above, f"{module} may import {sorted(may_import(room(module)))}"


@pytest.mark.parametrize("folder", [name for name in ORDER if (ROOT / "flowdpo_pl" / name).is_dir()])
def test_a_folder_says_what_it_may_import(folder: str) -> None:
    told = ast.get_docstring(ast.parse(CORE[f"flowdpo_pl.{folder}"].read_text(encoding="utf-8"))) or ""
    before = ["the face", *ORDER[: ORDER.index(folder)]]
    last = " ".join(told.rpartition("\n\n")[2].split())
    assert last == f"May import: {', '.join(before)}."


def test_the_map_has_a_line_for_every_room() -> None:
    readme = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    told = re.findall(r"^  (\w+)(?:/|\.py) ", readme, re.MULTILINE)
    assert {*FACE, *ORDER} <= set(told)


def test_the_front_exports_what_is_there() -> None:
    for name in flowdpo_pl.__all__:
        assert getattr(flowdpo_pl, name).__name__ == name


def test_type_checkers_see_what_the_front_exports() -> None:
    stub = ast.parse((ROOT / "flowdpo_pl" / "__init__.pyi").read_text(encoding="utf-8"))
    seen = {
        (part.module, name.name, name.asname)
        for part in stub.body
        if isinstance(part, ast.ImportFrom)
        for name in part.names
    }
    assert seen == {(f"flowdpo_pl.{home}", name, name) for name, home in flowdpo_pl._HOMES.items()}


@pytest.mark.parametrize(
    "kind",
    [
        *("Exploration", "Flow", "FunctionVerifier", "GoldExtractor", "Grouping", "MathVerifier"),
        *("PreferenceLoss", "Solution", "Verifier"),
    ],
)
def test_the_front_exports_every_class_of_a_kind_that_a_config_names(kind: str) -> None:
    exported = getattr(flowdpo_pl, kind)
    home = importlib.import_module(exported.__module__)
    of_kind = {
        name
        for name, value in vars(home).items()
        if isinstance(value, type) and issubclass(value, exported) and value.__module__ == home.__name__
    }
    assert kind in of_kind and of_kind <= set(flowdpo_pl.__all__)


def test_imports_make_no_circle() -> None:
    order = TopologicalSorter({module: own_imports(module) for module in OURS}).static_order()
    assert set(order) >= set(OURS)  # a circle would have raised


def test_the_core_knows_no_callback() -> None:
    assert not {module for module in CORE if own_imports(module) & CALLBACKS.keys()}


@pytest.mark.parametrize("module", CALLBACKS)
def test_callbacks_know_types_and_lightning_only(module: str) -> None:
    assert {room(name) for name in own_imports(module) & CORE.keys()} <= FOR_CALLBACKS
    allowed = {"callbacks", "flowdpo_pl", "lightning", *sys.stdlib_module_names}
    assert {found.name.split(".")[0] for found in imports(module) if found.at_start} <= allowed


def room_of_callbacks(module: str) -> str:
    """The folder of `callbacks` that a module is in or stands for; of one beside them, its own name."""
    return module.removeprefix("callbacks").lstrip(".").partition(".")[0]


@pytest.mark.parametrize("module", [name for name in CALLBACKS if name.count(".") == 2])
def test_a_room_of_callbacks_imports_only_those_before_it(module: str) -> None:
    before = ROOMS_OF_CALLBACKS[: ROOMS_OF_CALLBACKS.index(room_of_callbacks(module)) + 1]
    assert {room_of_callbacks(name) for name in own_imports(module) & CALLBACKS.keys()} <= set(before)


@pytest.mark.parametrize("number", range(len(ROOMS_OF_CALLBACKS)))
def test_a_room_of_callbacks_says_what_it_may_import(number: int) -> None:
    source = CALLBACKS[f"callbacks.{ROOMS_OF_CALLBACKS[number]}"].read_text(encoding="utf-8")
    before = ", ".join(ROOMS_OF_CALLBACKS[:number]) or "nothing else of `callbacks`"
    assert (ast.get_docstring(ast.parse(source)) or "").endswith(f"\n\nMay import: {before}.")


def test_beside_the_rooms_are_only_callbacks_that_a_config_names() -> None:
    exported = importlib.import_module("callbacks")
    homes = {getattr(exported, name).__module__ for name in exported.__all__}
    beside = {name for name in CALLBACKS if room_of_callbacks(name) not in ROOMS_OF_CALLBACKS}
    assert beside == {"callbacks", *homes}


@pytest.mark.parametrize("module", OURS)
def test_heavy_libraries_are_imported_where_they_are_needed(module: str) -> None:
    """`--help` imports these files."""
    assert not {found.name.split(".")[0] for found in imports(module) if found.at_start} & HEAVY


WORDS_OF_OTHERS = {"flowdpo_pl.play.engines.vllm.server": {"stop"}}
"""What vLLM calls an answer that has come to its end."""


@pytest.mark.parametrize(
    "module", sorted(name for name in OURS if not name.startswith("flowdpo_pl.play.flows"))
)
def test_the_names_of_agents_are_their_flow_s_own(module: str) -> None:
    """Everything else asks the flow who plays, who writes the answer and which move closes it."""
    tree = ast.parse(OURS[module].read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    agents = {"stop", "critic", "judge", "planner", "solver"} - WORDS_OF_OTHERS.get(module, set())
    assert not names & {"ANSWER", "STOP"} and not strings & agents


@pytest.mark.parametrize("module", CORE)
def test_lightning_is_in_its_rooms_alone(module: str) -> None:
    """The learners take an optimizer of two methods, so that another loop may drive them."""
    libraries = {found.name.split(".")[0] for found in imports(module)}
    assert "lightning" not in libraries or room(module) in WITH_LIGHTNING


def test_the_command_line_imports_nothing_heavy_that_lightning_does_not() -> None:
    bare = imported_by("lightning.pytorch.cli")
    with_lightning = [module for module in CORE if room(module) in WITH_LIGHTNING]
    assert not (imported_by(*with_lightning, "callbacks") - bare) & HEAVY


def test_light_modules_do_without_torch() -> None:
    """Flow, rollouts and pairs are tested by an engine without weights; a judge's worker starts quickly."""
    verbs = [module for module in CORE if room(module) in ("command_line", "verbs")]
    light = (*(f"flowdpo_pl.{name}" for name in WITHOUT_TORCH), *verbs)
    assert not imported_by(*light) & {"torch", "lightning", *HEAVY}


def test_every_module_has_its_tests() -> None:
    """In the file of its name, or in one whose docstring says so."""
    missing = {path for name, path in OURS.items() if path.name != "__init__.py" and not is_tested(name)}
    assert not missing, f"{sorted(str(path.relative_to(ROOT)) for path in missing)} have no tests"


def is_tested(module: str) -> bool:
    name = module.removeprefix("flowdpo_pl.")
    *folders, file = name.split(".")
    return ROOT.joinpath("tests", *folders, f"test_{file}.py").is_file() or name in ALSO_TESTED


def also_tested(docstring: str) -> set[str]:
    """The modules in the sentence that begins with "Also tests"."""
    sentences = re.findall(r"Also tests (.*?)(?:\.\s|$)", docstring, re.DOTALL)
    return {name for sentence in sentences for name in re.findall(r"`([\w.]+)`", sentence)}


def test_the_sentence_on_further_tests_is_read_whole() -> None:
    sentence = "Also tests `data.cursor`: it resumes; and\n`data.rows` and `callbacks.watching.pace`."
    assert also_tested(f"Rows.\n\n{sentence} Not `data.gold`.") == {
        "data.cursor",
        "data.rows",
        "callbacks.watching.pace",
    }


ALSO_TESTED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in also_tested(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
}


def imported_by(*names: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after importing these."""
    program = f"import sys, {', '.join(names)}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())
