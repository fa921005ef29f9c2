"""The shipped studies: their stages are in order, and every override is one that its verb takes."""

from __future__ import annotations

import re
from argparse import ArgumentError
from dataclasses import replace
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser, Namespace

from benchmarks.paper_study import DOCUMENTED
from flowdpo_pl.cli import VERBS, main
from flowdpo_pl.verbs.arms import arms
from flowdpo_pl.verbs.export import export
from flowdpo_pl.verbs.grid import grid
from flowdpo_pl.verbs.ground_truth import ground_truth
from flowdpo_pl.verbs.study import study
from flowdpo_pl.verbs.study_report import Report
from flowdpo_pl.verbs.study_stage import Stage, Value, placeholders_filled
from quickstart.recipe.chains.credit import credit
from quickstart.recipe.chains.endings import endings
from quickstart.recipe.chains.problems import problems
from quickstart.recipe.chains.regrade import regrade
from quickstart.recipe.chains.trim import trim
from quickstart.recipe.luck import luck
from tests.runs import ROOT

FLOWS = ("critic", "debate", "planner_solver")
STUDIES = (
    "configs/quickstart_gain.yaml",
    "configs/quickstart_study.yaml",
    "configs/smollm2/study.yaml",
    *(f"configs/flows/{name}_study.yaml" for name in FLOWS),
    *(
        f"configs/chains/{name}.yaml"
        for name in ("bases", "cell", "compared", "endings", "learning_rate", "pilot", "training_length")
    ),
    "configs/paper/table_1.yaml",
    "configs/smollm2/compared.yaml",
)
GRIDS = ("configs/chains/grid.yaml",)
OTHER_VERBS = {"arms": arms, "ground_truth": ground_truth, "export": export}
MODULES = {
    "credit": credit,
    "endings": endings,
    "luck": luck,
    "problems": problems,
    "regrade": regrade,
    "trim": trim,
}
"""Of `quickstart.recipe`; `pretrain` has an argparse of its own."""


QWEN = tuple(re.findall(r"--values\.\w+=\w+", (ROOT / "docs/study.md").read_text(encoding="utf-8")))
"""What docs/study.md gives to the paper's study."""
WITH_SFT = tuple(
    path
    for path in STUDIES
    if "\n  sft_" in (ROOT / path).read_text(encoding="utf-8")
    and path != "configs/chains/learning_rate.yaml"  # which is tried on one arm's traces
)


def parsed(path: str, *values: str) -> Namespace:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(study)
    parser.add_argument("--config", action="config")
    return parser.instantiate_classes(parser.parse_args([f"--config={path}", *values]))


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("path", "values"), [*((path, ()) for path in STUDIES), ("configs/paper/table_1.yaml", QWEN)]
)
def test_every_stage_takes_its_arguments(
    path: str, values: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = parsed(path, *values)
    stages: dict[str, Stage] = {
        name: stage.with_values(settings["values"]) for name, stage in settings.stages.items()
    }
    folders = {name: tmp_path / name for name in stages}
    tried: set[tuple[str, tuple[str, ...], tuple[str, ...]]] = set()
    for name, stage in stages.items():
        kind = (stage.verb or stage.module, tuple(stage.configs), tuple(stage.arguments))
        if kind in tried:  # another value of the same arguments
            continue
        tried.add(kind)
        line = replace(stage, arguments=without_values_of_runs(stage)).arguments_of(
            folders, tmp_path / "here", 1
        )
        if stage.verb in VERBS:
            with pytest.raises(SystemExit) as ended:
                main([stage.verb, *line, "--print_config"])
            assert ended.value.code == 0, name
        elif (module := stage.module.rpartition(".")[2]) != "pretrain":
            parser = ArgumentParser(exit_on_error=False)
            parser.add_function_arguments(OTHER_VERBS[stage.verb] if stage.verb else MODULES[module])
            parser.add_argument("--config", action="config")
            parser.parse_args(line)


def without_values_of_runs(stage: Stage) -> dict[str, Value]:
    """A number that an earlier stage would have written is 1."""
    return {
        key: 1 if isinstance(value, str) and ".json:" in value else value
        for key, value in stage.arguments.items()
    }


@pytest.mark.parametrize("path", STUDIES)
def test_the_report_names_stages_that_there_are(path: str) -> None:
    settings = parsed(path)
    report: Report | None = settings.report
    if report is None:
        return
    named = [file for rows in report.tables.values() for file in rows.values()]
    for file in [*named, *report.curves.values(), *report.sections.values(), report.arms or ""]:
        assert "{" not in placeholders_filled(file, {name: Path(name) for name in settings.stages})


@pytest.mark.parametrize("path", STUDIES)
def test_the_stages_are_in_order(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = parsed(path)
    study(settings.stages, tmp_path, dry_run=True, values=settings["values"])
    table = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert [line.split()[:3] for line in table] == [
        ["run", f"seed0/{name}", "new"] for name in settings.stages
    ]


@pytest.mark.parametrize("path", GRIDS)
def test_a_grid_s_cells_have_values_of_its_study_and_its_picture_rows_of_the_report(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(grid)
    parser.add_argument("--config", action="config")
    settings = parser.instantiate_classes(parser.parse_args([f"--config={path}", f"--output={tmp_path}"]))
    given = {name: settings[name] for name in ("study", "cells", "output", "seeds", "before", "picture")}
    of_study = parsed(str(settings.study))
    for values in settings.cells.values():
        assert values.keys() <= of_study["values"].keys()
    differences = {f"{two} - {one}" for one, two in of_study.report.differences}
    assert {*settings.picture.differences} <= differences
    assert settings.picture.table in of_study.report.tables
    grid(**given, dry_run=True)
    jobs = len(settings.seeds) * (len(settings.cells) + 1) + len(settings.cells)
    assert capsys.readouterr().out.startswith(f"{jobs} commands.")


def test_the_paper_s_study_is_tried_as_it_is_documented() -> None:
    values = {"model": "qwen3_1b7", **DOCUMENTED["qwen3_1b7"]}
    assert {*QWEN} - {f"--values.{name}={value}" for name, value in values.items()} == {"--values.tokens=480"}
    assert not DOCUMENTED["llama3_8b"], "the config's own values"


@pytest.mark.parametrize("path", WITH_SFT)
def test_the_arms_differ_in_their_traces_alone(path: str) -> None:
    sft = [stage for name, stage in parsed(path).stages.items() if name.startswith("sft_")]
    assert len(sft) > 1 and len({tuple(stage.configs) for stage in sft}) == 1
    others = [{**stage.arguments, "data.train": None} for stage in sft]
    assert all(other == others[0] for other in others)


def test_what_the_grid_runs_is_a_part_of_all_arms() -> None:
    everything, part = parsed("configs/chains/cell.yaml"), parsed("configs/chains/compared.yaml")
    for name, stage in part.stages.items():
        other = everything.stages[name]
        if name in ("arms", "graded", "credit"):  # they read what all others wrote
            assert stage.arguments.items() <= other.arguments.items()
        else:
            assert stage == other
    sizes = {"flow_problems", "compile_problems", "traces", "guessable"}
    own, others = part["values"], everything["values"]
    assert {name for name in own if own[name] != others.get(name)} == sizes


@pytest.mark.parametrize("name", ["endings", "training_length"])
def test_what_goes_on_from_a_grid_has_its_settings(name: str) -> None:
    own, of_grid = parsed(f"configs/chains/{name}.yaml"), parsed("configs/chains/compared.yaml")
    likes = {"sft": "sft_flow", "sampled": "sampled_flow", "longer": "flow_dpo", "collect": "collect_flow"}
    for stage_name, stage in own.stages.items():
        if like := likes.get(stage_name.partition("_")[0]):
            assert settled(stage) == settled(of_grid.stages[like]), stage_name
    of_worlds = {"model", "room", "chunk_tokens", "flow_problems"}
    shared = own["values"].keys() & of_grid["values"].keys() - of_worlds
    assert {"tests", "samples", "sft_lr"} <= shared
    assert all(own["values"][value] == of_grid["values"][value] for value in shared)


def settled(stage: Stage) -> dict[str, Value]:
    """Its arguments, without what names other stages or values."""
    return {
        key: "" if isinstance(value, str | list) and "{" in str(value) else value
        for key, value in stage.arguments.items()
    }


def test_a_stage_with_a_wrong_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("output: x\nstages: {a: {verbs: fit}}\n")
    with pytest.raises(ArgumentError, match="verbs"):
        parsed(str(file))
