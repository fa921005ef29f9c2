"""`pairs`: the preference pairs that a run's trees hold, as a table that TRL and others read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.preference_rows import PreferenceRow, preference_row, require_format, write_rows
from flowdpo_pl.results.trained_run import TrainedRun, score_margin
from flowdpo_pl.results.tree_io import read_trees
from flowdpo_pl.verbs.base_argument import naming_base
from flowdpo_pl.verbs.bound_prompts import bound_prompts
from flowdpo_pl.visible import visible_line

if TYPE_CHECKING:
    from flowdpo_pl.play.prompts import PromptBook


def pairs(run: Path, output: Path = Path("pairs.parquet"), base: str | None = None) -> None:
    """Write the pairs that a run's rollout trees hold: prompt, chosen and rejected, as text and token ids.

    Args:
        run: folder of a run of `fit` that kept its trees (callbacks.TreeLog).
        output: the file, .parquet or .jsonl; one that is there is replaced.
        base: folder or hub id of the base, whose tokenizer is read, where the run's own is not there.
    """
    require_format(output)
    trained = TrainedRun.at(run)
    trees = trained.trees()
    with naming_base():
        prompts = _prompts(trained, base if base is not None else trained.base_path(by="--base"))
    counted: Counter[str] = Counter()
    with whole_file(output) as partial:
        write_rows(_rows(trees, trained, prompts, counted), partial, output.suffix)
    told = ", ".join(f"{agent} {number:,}" for agent, number in sorted(counted.items())) or "none"
    print(visible_line(f"{output}: {counted.total():,} pairs ({told})"))


def _rows(
    trees: Path, run: TrainedRun, prompts: PromptBook, counted: Counter[str]
) -> Iterator[PreferenceRow]:
    margin = score_margin(run.config)
    for tree in read_trees(trees):
        for pair in mine([tree], margin).pairs:
            counted[pair.agent] += 1
            yield preference_row(pair, prompts)


def _prompts(run: TrainedRun, base: str) -> PromptBook:
    from flowdpo_pl.command_line.known_code import played_team, require_known
    from flowdpo_pl.command_line.made_of import made_of
    from flowdpo_pl.command_line.taken_run import flow_of
    from flowdpo_pl.model.base import BaseModel

    require_known(run, {"model": {"init_args": {"team": played_team(run)}}}, {})
    model = made_of(BaseModel, {**run.base, "path": base}, f"the base of {run.folder}")
    return bound_prompts(flow_of(run.team, run.folder), run.team["prompts"], model, run.folder)
