"""`plan`: what a run needs before it runs, and what to change where it does not fit."""

from __future__ import annotations

import json as json_text
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flowdpo_pl.errors import UserError
from flowdpo_pl.visible import visible_line

if TYPE_CHECKING:
    from flowdpo_pl.cli import DescribedRun
    from flowdpo_pl.modules.adapter_module import AdapterModule
    from flowdpo_pl.modules.probe import Probed
    from flowdpo_pl.plan.cards import Card
    from flowdpo_pl.plan.memory import Use
    from flowdpo_pl.plan.planning import Plan, Task
    from flowdpo_pl.plan.reading_matter import ReadingMatter
    from flowdpo_pl.plan.workload import Workload

Verb = Literal["fit", "validate", "test", "predict"]


def plan(
    run: Sequence[str],
    card: str | None = None,
    shape: Path | None = None,
    verb: Verb | None = None,
    probe: bool = False,
    json: bool = False,
) -> None:
    """Say what a run needs: memory by part, tokens, hours, and what to change where it does not fit.

    Args:
        run: the words that the run itself would have: `--config …` and keys.
        card: cpu, or a card such as h100, a100-40, l4, 4090; null: what is here.
        shape: folder whose config.json has the shape of the base, where the base itself is not here.
        verb: which verb is planned; null: `fit` if the module learns, else the one that data are given for.
        probe: play and learn two batches here, and compute the hours from them; the base must be here.
        json: print one line of JSON instead of a table.
    """
    from flowdpo_pl.cli import described
    from flowdpo_pl.plan.outline import outline
    from flowdpo_pl.plan.planning import planned
    from flowdpo_pl.plan.table import plan_lines

    begun = time.perf_counter()
    chosen = verb or _verb_of(run)
    told = described([chosen, *run])
    loaded = time.perf_counter() - begun  # libraries and settings: a run's start takes that too
    module = _module(told)
    matter = _matter(told, module, chosen)
    task = _task(told, module, chosen, matter)
    model = outline(module.team.base, _lora(told), shape)
    use = _use(told, module)
    here = _card(card, told.config[chosen].trainer.accelerator)
    machine = _machine(here)
    probed = _probed(told, chosen, module, loaded) if probe else None
    found = planned(task, model, use, here, machine, _played(module, task) if probe else None)
    notes = [*_notes(found, task, here, matter, told), *_of_probe(probed, task, use)]
    if json:
        print(json_text.dumps(_plain(found, task, here, notes, probed)))
        return
    base = visible_line(str(module.team.base.path))
    print(f"{chosen} on {here.name}: {base}, {model.parameters / 1e6:,.0f}M weights, {use.dtype}")
    print()
    for line in plan_lines(found, task, here, notes):
        print(visible_line(line))


def _verb_of(run: Sequence[str]) -> str:
    from flowdpo_pl.cli import verb_of
    from flowdpo_pl.command_line.given import CLASS, arguments_of, given_by
    from flowdpo_pl.command_line.places import whole_path

    given = given_by(arguments_of(run))
    named = given.get("model")
    path = named.get(CLASS) if isinstance(named, Mapping) else named
    if not isinstance(path, str):
        return "fit"
    data = given.get("data")
    return verb_of(whole_path(path), tests=isinstance(data, Mapping) and data.get("test") is not None)


def _module(told: DescribedRun) -> AdapterModule:
    from flowdpo_pl.modules.adapter_module import AdapterModule

    if not isinstance(told.model, AdapterModule):
        raise UserError(
            f"model.class_path is {type(told.model).__name__}, which says nothing of what it needs: "
            "plan runs of FlowDPOModule, SFTModule or EvaluationModule."
        )
    return told.model


def _lora(told: DescribedRun) -> Any:
    """Of the module, or what its config says where the adapters are not there yet."""
    from flowdpo_pl.model.lora import LoraSettings

    team = _module(told).team
    if not told.missing:
        return team.lora
    given = told.config[told.config.subcommand].model.init_args.team.lora
    return LoraSettings(**given.as_dict())


def _devices(told: DescribedRun) -> int:
    """Ranks that share a batch, as far as the config says."""
    trainer = told.config[told.config.subcommand].trainer
    devices, nodes = trainer.devices, int(trainer.num_nodes)
    if isinstance(devices, list):
        return len(devices) * nodes
    known = str(devices).isdecimal() and int(devices) > 0  # on a command line it is a text
    return (int(devices) if known else 1) * nodes


def _use(told: DescribedRun, module: AdapterModule) -> Use:
    from flowdpo_pl.plan.memory import Use

    demand, team, lora = module.demand(), module.team, _lora(told)
    share = -(-told.datamodule.batch_size // _devices(told))
    return Use(
        dtype=team.base.dtype,
        quantization=team.base.quantization,
        rank=lora.r,
        dropout=lora.dropout,
        agents=len(demand.agents),
        learners=len(demand.learners),
        frozen_starts=demand.frozen_starts,
        problems=0 if demand.exploration is None else share,
        trees=share * demand.batches if demand.learners else 0,
        decode_tokens=team.budget.decode_tokens,
        update_tokens=team.budget.update_tokens,
        checkpointing=team.budget.activation_checkpointing,
    )


def _matter(told: DescribedRun, module: AdapterModule, verb: str) -> ReadingMatter:
    from flowdpo_pl.modules.prompt_data_module import PromptDataModule
    from flowdpo_pl.plan.reading_matter import reading_matter

    own = {"fit": "train", "validate": "validation"}.get(verb, verb)
    data = told.datamodule
    source = data.sources[own] if isinstance(data, PromptDataModule) else None
    prompts = {agent: module.team.prompts[agent] for agent in module.demand().agents}
    base = module.team.base
    return reading_matter(base.path, module.team.flow, prompts, source, base.trust_remote_code)


def _task(told: DescribedRun, module: AdapterModule, verb: str, matter: ReadingMatter) -> Task:
    from flowdpo_pl.plan.planning import Task
    from flowdpo_pl.play.exploration import Exploration

    demand = module.demand()
    trainer = told.config[verb].trainer
    exploration = Exploration() if verb == "validate" else demand.exploration
    times = demand.samples * getattr(told.datamodule, "passes", 1)
    in_data = matter.count if demand.exploration is not None else _traces(told)
    if demand.exploration is None:
        times = max(1, trainer.max_epochs or 1)
    counts = [count for count in (in_data and in_data * times, demand.most_problems) if count is not None]
    return Task(
        verb=verb,
        flow=module.team.flow,
        exploration=exploration,
        writer=module.team.flow.writer,
        objectives=demand.objectives if verb == "fit" else {},
        typical=matter.typical,
        longest=matter.longest,
        count=min(counts, default=None),
    )


def _traces(told: DescribedRun) -> int | None:
    """Lines of the trace files, if they are there, or the limit."""
    files = [Path(name) for name in getattr(told.datamodule, "files", {}).get("train", [])]
    limit: int | None = getattr(told.datamodule, "limit", None)
    if not files or not all(file.is_file() and file.suffix == ".jsonl" for file in files):
        return limit
    lines = sum(sum(1 for _ in file.open("rb")) for file in files)
    return lines if limit is None else min(lines, limit)


def _card(name: str | None, accelerator: str) -> Card:
    import torch

    from flowdpo_pl.plan.cards import CARDS, Card, card_named

    if name is not None and name.lower() != "cpu":
        return card_named(name)
    if name is None and accelerator != "cpu" and torch.cuda.is_available():
        there = torch.cuda.get_device_properties(0)
        words = there.name.lower()
        like = next((card for card in CARDS.values() if card.name.partition("-")[0] in words), None)
        flops, bandwidth = (like.flops, like.bandwidth) if like is not None else (0.0, 1.0)
        return Card(there.name, there.total_memory, flops, bandwidth)
    from flowdpo_pl.model.product_rates import memory_rate, product_rate

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Card("cpu", memory, product_rate("float32"), memory_rate(), is_cpu=True)


def _machine(card: Card) -> Any:
    """A run's libraries are those that this process has loaded by now."""
    import importlib

    from flowdpo_pl.measure.memory import resident_bytes
    from flowdpo_pl.plan.memory import Machine

    if not card.is_cpu:
        return Machine(is_cpu=False)
    for library in ("peft", "datasets", "flowdpo_pl.play.engines.native", "callbacks"):
        importlib.import_module(library)
    return Machine(is_cpu=True, libraries=int(resident_bytes()))


def _probed(told: DescribedRun, verb: str, module: AdapterModule, loaded: float) -> Probed:
    from flowdpo_pl.modules.probe import probe

    trainer = told.config[verb].trainer
    given = {"accelerator": trainer.accelerator, "max_epochs": trainer.max_epochs}
    probed = probe(verb, module, told.datamodule, given)
    return replace(probed, start_seconds=loaded + probed.start_seconds)


def _played(module: AdapterModule, task: Task) -> Workload | None:
    """What the probe's last batch took; None of a module that plays nothing."""
    from flowdpo_pl.plan.workload import counted

    trees = getattr(module, "trees", ())
    margin = getattr(module, "score_margin", 0.0)
    return counted(trees, module.players.prompts, task.objectives, margin) if trees else None


def _notes(found: Plan, task: Task, card: Card, matter: ReadingMatter, told: DescribedRun) -> list[str]:
    most = found.at_most.answer_tokens
    expected = (
        f"Typical: answers of {found.typical.answer_tokens} tokens, and one node that teaches an agent on "
        "a third of the problems"
        if found.played is None
        else "As played: the second of two batches"
    )
    said = [
        f"{expected}; at most: answers of {most}, and every node of all problems teaches. "
        f"Here {matter.assumed}."
    ]
    if card.flops:
        said.append("Times are those of the bare products and of reading memory; --probe measures.")
    if task.count is None:
        said.append("How many problems there are is not known here.")
    if told.missing:
        said.append(f"Not there yet, and taken to have the rank of team.lora: {', '.join(told.missing)}.")
    return said


def _of_probe(probed: Probed | None, task: Task, use: Use) -> list[str]:
    from flowdpo_pl.plan.table import duration, size

    if probed is None:
        return []
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in probed.phases.items())
    said = [
        f"Measured here: {probed.batch_size} in {probed.batch_seconds:.1f} s"
        + (f" ({parts})" if parts else "")
        + f", {size(probed.peak_bytes)} at the peak, {probed.start_seconds:.0f} s before the first batch."
    ]
    if task.count is not None:
        said.append(f"The whole run takes {duration(run_seconds(probed, task.count))} here.")
    return [*said, *_fastest(use)]


def run_seconds(probed: Probed, count: int) -> float:
    """Of a run of `count` problems or traces at the rate that was measured."""
    return probed.start_seconds + count / probed.batch_size * probed.batch_seconds


def _fastest(use: Use) -> list[str]:
    """The dtype to take on a CPU; nothing where there is a card."""
    import torch

    from flowdpo_pl.model.product_rates import product_rate

    if torch.cuda.is_available():
        return []
    rates = {dtype: product_rate(dtype) for dtype in ("float32", "bfloat16")}
    best = max(rates, key=lambda dtype: rates[dtype])
    told = " and ".join(f"{dtype} at {rate / 1e9:.0f}" for dtype, rate in rates.items())
    advice = "it has it" if best == use.dtype else f"--model.team.base.dtype={best} is faster"
    return [f"Products here run in {told} GFLOP/s: {advice}."]


def _plain(
    found: Plan, task: Task, card: Card, notes: Sequence[str], probed: Probed | None
) -> dict[str, Any]:
    extents = {
        name: {**asdict(extent), "needs": extent.needs, "hours": extent.hours}
        for name, extent in (("typical", found.typical), ("at_most", found.at_most), ("played", found.played))
        if extent is not None
    }
    measured = None
    if probed is not None:
        measured = asdict(probed)
        measured["run_seconds"] = None if task.count is None else run_seconds(probed, task.count)
    return {
        "verb": task.verb,
        "card": asdict(card),
        "count": task.count,
        **extents,
        "room": found.room,
        "fits": found.fits,
        "changes": [asdict(change) for change in found.changes],
        "measured": measured,
        "notes": list(notes),
    }
