"""Imports point down, never in a circle, and heavy libraries wait until they are needed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    "types errors",
    "prompts answers markers verifier verifier_pool verifier_worker pairs packing sequence_packing losses"
    " metrics intervals draws gold rows grouping cursor tree_io tree_statistics asked stop_confusion"
    " token_logprobs parse_errors distributed memory traces whole_writes making predictions unfinished_test"
    " judged_answers collected_traces comparison rendered_solutions solutions fair_arms"
    " study_stage stage_run report_tables report_curves quantization",
    "engines engines.native engines.prefix_cache engines.protocol engines.sampling engines.workspace"
    " adapter_product fused_layers attention base agents crew flow scoring prompt_source exploration",
    "rollouts prompt_stream adapter_update preference_learner supervised_learner",
    "flow_dpo_module sft_module evaluation_module data trace_data adapter_strategy compare convert merge"
    " ground_truth arms study study_report",
    "cli __main__",
)
"""Modules of `flowdpo_pl`, lowest layer first."""
LAYER = {f"flowdpo_pl.{name}": layer for layer, names in enumerate(LAYERS) for name in names.split()}
LAYER["flowdpo_pl"] = len(LAYERS)  # the front that users import; nothing inside may
FOR_CALLBACKS = {
    f"flowdpo_pl.{name}"
    for name in (
        *("types", "errors", "tree_io", "whole_writes", "traces", "predictions"),
        *("unfinished_test", "judged_answers", "collected_traces"),
    )
}
HEAVY = {
    *("bitsandbytes", "datasets", "gguf", "math_verify", "matplotlib", "pandas", "peft", "pyarrow", "rich"),
    *("safetensors", "sympy", "tokenizers", "transformers"),
}
WITH_LIGHTNING = ("cli", "data", "evaluation_module", "flow_dpo_module", "sft_module", "trace_data")
WITHOUT_TORCH = (
    "__main__",
    "arms",
    "compare",
    "comparison",
    "convert",
    "ground_truth",
    "merge",
    "packing",
    "pairs",
    "prompt_stream",
    "rollouts",
    "sequence_packing",
    "study",
    "tree_io",
    "verifier",
)


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


def test_every_module_has_a_layer() -> None:
    assert LAYER.keys() == CORE.keys(), "place new modules in LAYERS, and remove those that are gone"


def test_the_readme_s_map_tells_the_same_layers() -> None:
    rows = re.findall(
        r"^  ([\w/]+)\.py +(\d) ", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    told = {"flowdpo_pl." + path.replace("/", "."): int(layer) for path, layer in rows}
    assert told == {name: layer for name, layer in LAYER.items() if not CORE[name].match("*/__init__.py")}


@pytest.mark.parametrize("module", CORE)
def test_imports_point_down(module: str) -> None:
    above = {name for name in own_imports(module) & CORE.keys() if LAYER[name] > LAYER[module]}
    assert not above, f"{module} is in layer {LAYER[module]}, below what it imports"


def test_imports_make_no_circle() -> None:
    order = TopologicalSorter({module: own_imports(module) for module in OURS}).static_order()
    assert set(order) >= set(OURS)  # a circle would have raised


def test_the_core_knows_no_callback() -> None:
    assert not {module for module in CORE if own_imports(module) & CALLBACKS.keys()}


@pytest.mark.parametrize("module", CALLBACKS)
def test_callbacks_know_types_and_lightning_only(module: str) -> None:
    assert own_imports(module) & CORE.keys() <= FOR_CALLBACKS
    allowed = {"callbacks", "flowdpo_pl", "lightning", *sys.stdlib_module_names}
    assert {found.name.split(".")[0] for found in imports(module) if found.at_start} <= allowed


@pytest.mark.parametrize("module", OURS)
def test_heavy_libraries_are_imported_where_they_are_needed(module: str) -> None:
    """`--help` imports these files."""
    assert not {found.name.split(".")[0] for found in imports(module) if found.at_start} & HEAVY


def test_the_command_line_imports_nothing_heavy_that_lightning_does_not() -> None:
    bare = imported_by("lightning.pytorch.cli")
    assert not (imported_by(*(f"flowdpo_pl.{name}" for name in WITH_LIGHTNING), "callbacks") - bare) & HEAVY


def test_light_modules_do_without_torch() -> None:
    """Flow, rollouts and pairs are tested by an engine without weights; a judge's worker starts quickly."""
    assert not imported_by(*(f"flowdpo_pl.{name}" for name in WITHOUT_TORCH)) & {"torch", "lightning", *HEAVY}


def imported_by(*names: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after importing these."""
    program = f"import sys, {', '.join(names)}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())
