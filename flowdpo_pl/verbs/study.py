"""The verb `study`: a chain of other verbs, each stage run once for each seed; then a report.

The runner knows nothing of the science, which is in the study's YAML: stages in their order, each with a
verb, a config and overrides that name earlier stages. The folder `<output>/seed<seed>/<stage>/` holds what a
stage writes, its log and `stage.json`. A finished stage runs again only if its command, its config or a stage
that it needs has changed; its old folder is then kept beside it as `<stage>.old`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from flowdpo_pl.command_line.verbs import verb_named
from flowdpo_pl.errors import COUNT, UserError, require_within
from flowdpo_pl.verbs.study_plan import PlannedStage, plan_lines
from flowdpo_pl.verbs.study_report import Report, write_report
from flowdpo_pl.verbs.study_run import run_steps
from flowdpo_pl.verbs.study_stage import Stage, Value
from flowdpo_pl.verbs.study_step import State, Step, require_different, steps_of


def study(
    stages: dict[str, Stage],
    output: Path,
    seeds: list[int] = [0],  # noqa: B006 (never changed)
    report: Report | None = None,
    dry_run: bool = False,
    only: str | None = None,
    at_once: int = 1,
    values: dict[str, Value] = {},  # noqa: B006 (never changed)
) -> None:
    """Run what is not done yet, then write the report to `<output>/report/`.

    Args:
        stages: the stages by name, in their order.
        output: the study's folder.
        seeds: each is a run of all stages.
        report: what is reported; null: nothing.
        dry_run: list the stages, what would run and why, with whole commands, and run nothing.
        only: run this one stage alone, and no report.
        at_once: how many stages run side by side, each once those that it names are done; each has its share
            of the cores, unless OMP_NUM_THREADS is set.
        values: what arguments of stages name in braces, beside stages: `{steps}` is the value `steps`.

    Raises:
        UserError: the study is not in order, data is missing, a stage fails, or `only` needs a stage that is
            not done.
    """
    require_within(COUNT, {"at_once": at_once})
    require_different(seeds)
    stages = {name: stage.with_values(values) for name, stage in stages.items()}
    _require_order(stages)
    if only is not None and only not in stages:
        raise UserError(f"--only {only} is none of the stages: {', '.join(stages)}.")
    steps = [step for seed in seeds for step in steps_of(stages, output / f"seed{seed}", seed)]
    if dry_run:
        print(*plan_lines([_planned(step, only) for step in steps]), sep="\n")
        return
    _require_data(stages, output)
    chosen = [step for step in steps if only in (None, step.name)]
    _require_done_before(chosen, steps)
    run_steps(chosen, at_once)
    if report is not None and only is None:
        folders = {seed: {step.name: step.here for step in steps if step.seed == seed} for seed in seeds}
        write_report(report, folders, output / "report")


def _planned(step: Step, only: str | None) -> PlannedStage:
    """What would become of a stage."""
    state, left_out = step.state, only not in (None, step.name)
    why = {
        State.NEW: "never begun",
        State.DONE: f"in {step.duration}; the same command, configs and files",
        State.INTERRUPTED: f"begun and not done, see {step.log}",
        State.CHANGED: f"command, configs, files or a stage it needs; the old goes to {step.here.name}.old",
    }[state]
    command = ["python", *step.words(planned=True)]
    name = f"{step.here.parent.name}/{step.here.name}"
    runs = state != State.DONE and not left_out
    return PlannedStage(name, state.value, runs, "not asked for by --only" if left_out else why, command)


def _require_order(stages: Mapping[str, Stage]) -> None:
    """Refuse a stage of no verb or module, or one that names a stage that does not come before it."""
    before: list[str] = []
    for name, stage in stages.items():
        _require_program(name, stage)
        if unknown := sorted(stage.needs() - set(before)):
            raise UserError(
                f"stage '{name}' names {{{unknown[0]}}}, which is no stage before it (those are {before}) "
                "and none of the study's values."
            )
        before.append(name)


def _require_data(stages: Mapping[str, Stage], output: Path) -> None:
    """Refuse data that is not there now rather than hours later, when its stage begins."""
    from flowdpo_pl.data.rows import require_exists

    for name, stage in stages.items():
        for key, value in stage.arguments.items():
            if not key.endswith(".path") or key.startswith("model.") or not isinstance(value, str):
                continue
            if "{" in value or output in Path(value).parents:
                continue
            try:
                require_exists(value)
            except UserError as error:
                raise UserError(f"stage '{name}': {key}: {error}") from error


def _require_program(name: str, stage: Stage) -> None:
    try:
        known = bool(find_spec(stage.module) if stage.module else verb_named(stage.verb))
    except UserError as error:
        raise UserError(f"stage '{name}': {error}") from error
    except ImportError:
        known = False
    if not known:
        raise UserError(f"stage '{name}': there is no module {stage.module} to run (from {Path.cwd()}).")


def _require_done_before(chosen: Sequence[Step], steps: Sequence[Step]) -> None:
    """Refuse a stage of which an earlier one is neither done nor going to be run."""
    for step in chosen:
        for needed in steps:
            if needed.here in step.needs and needed not in chosen and needed.state != State.DONE:
                raise UserError(
                    f"{step.title} needs '{needed.name}', which is {needed.state}: run that first."
                )
