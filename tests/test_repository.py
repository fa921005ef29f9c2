"""What the repository says of itself is true: its map, its dependencies, what it installs."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = sorted(path for name in ("flowdpo_pl", "callbacks") for path in (ROOT / name).rglob("*.py"))


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of the repository")
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True, cwd=ROOT)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def requirements() -> list[str]:
    """Direct dependencies, those of the tests included, with the extras that they name."""
    extras = PROJECT["optional-dependencies"]
    own = [one for one in extras["test"] if one.startswith(f"{PROJECT['name']}[")]
    named = [name for one in own for name in re.findall(r"[\w-]+", one.partition("[")[2])]
    listed = [*PROJECT["dependencies"], *extras["test"], *(one for name in named for one in extras[name])]
    return [one for one in listed if one not in own]


def lower_bounds() -> dict[str, str]:
    """The least version of each."""
    found = (re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement) for requirement in requirements())
    return {match[1]: match[2] for match in found if match}


def test_every_dependency_has_one_lower_bound_and_no_other() -> None:
    assert len(lower_bounds()) == len(requirements())


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    lines = (ROOT / "constraints" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins.keys() == lower_bounds().keys()
    for name, bound in lower_bounds().items():
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", pins[name]), name


def test_every_library_that_is_imported_is_a_declared_dependency() -> None:
    extras = [
        one for name, listed in PROJECT["optional-dependencies"].items() for one in listed if name != "dev"
    ]
    named = [*lower_bounds(), *re.findall(r"^[\w-]+", "\n".join(extras), re.MULTILINE)]  # tests leave ray out
    declared = {name.replace("-", "_") for name in named}
    packages = packages_distributions()  # PyYAML is imported as yaml
    ours = {"flowdpo_pl", "callbacks", *sys.stdlib_module_names}
    for path in MODULES:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        for name in {name.split(".")[0] for name in names} - ours:
            distributions = {d.lower().replace("-", "_") for d in packages.get(name, [name])}
            assert distributions & declared, f"{path} imports {name}"


def test_every_load_by_transformers_says_whether_a_base_may_run_code() -> None:
    """Where nothing says so, transformers asks on the terminal."""
    found = 0
    for file in (ROOT / "flowdpo_pl").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ("from_pretrained", "from_config") and ast.unparse(node.func)[:4] == "Auto":
                found += 1
                given = {keyword.arg for keyword in node.keywords}
                assert given & {"trust_remote_code", None}, f"{file}:{node.lineno}"  # None: by `**options`
    assert found > 5


def test_the_map_names_every_module_below_its_folder() -> None:
    told_map = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    lines: dict[str, str] = {}
    folder = ""
    for line in told_map.partition("flowdpo_pl/ ")[2].partition("\n\n")[0].splitlines():
        if start := re.match(r"  (\w+)(/|\.py) ", line):
            folder = start[1]
        lines[folder] = lines.get(folder, "") + line
    for path in (ROOT / "flowdpo_pl").rglob("*.py"):
        place, *inner = path.relative_to(ROOT / "flowdpo_pl").with_suffix("").parts
        if path.name != "__init__.py":
            words = re.findall(r"\w+", lines.get(place, ""))
            assert set(inner) <= set(words) and words, f"name {path} in docs/map.md"


def test_the_map_names_every_file_in_the_rooms_of_callbacks() -> None:
    told_map = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    told = told_map.partition("\ncallbacks/ ")[2].partition("\nconfigs/ ")[0]
    lines = dict(re.findall(r"^  (\w+)/ (.*(?:\n {4}.*)*)", told, re.MULTILINE))
    rooms = {path.parent.name for path in (ROOT / "callbacks").glob("*/*.py")}
    assert lines.keys() == rooms
    for room, line in lines.items():
        files = {path.stem for path in (ROOT / "callbacks" / room).glob("*.py")} - {"__init__"}
        assert files <= set(re.findall(r"\w+", line)), f"name them in docs/map.md, callbacks/{room}"


def test_no_tracked_file_names_a_place_on_one_machine() -> None:
    home = re.compile(rb"(?<![\w./~-])/(?:home|root|Users|mnt|work)/\w")
    registry = re.compile(rb"--(?:extra-)?index-url|https?://\S*/simple\b")
    for path in tracked_files():
        content = path.read_bytes()
        found = home.search(content) or registry.search(content)
        assert b"\0" in content or not found, f"{path} names {found}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The built distribution."""
    copy = tmp_path_factory.mktemp("source")
    for package in ("flowdpo_pl", "callbacks", "tests", "quickstart"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = "from setuptools.build_meta import build_wheel; build_wheel('out')"
    (copy / "out").mkdir()
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (built,) = (copy / "out").glob("*.whl")
    return zipfile.ZipFile(built)


def test_both_packages_are_installed_whole_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    typed = {"flowdpo_pl/py.typed", "flowdpo_pl/__init__.pyi", "callbacks/py.typed"}
    parts = (path for path in (ROOT / "flowdpo_pl").glob("*/parts/*") if path.is_file())
    assert files == {str(path.relative_to(ROOT)) for path in (*MODULES, *parts)} | typed


def test_the_console_script_is_the_module_s_entry(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "flowdpo_pl = flowdpo_pl.__main__:main" in wheel.read(entry_points).decode().splitlines()
