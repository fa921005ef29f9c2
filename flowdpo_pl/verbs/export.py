"""`export`: a run's agents as others load them, with all that they play by, and a model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.merging import require_mergeable
from flowdpo_pl.quiet import bars_on_a_terminal
from flowdpo_pl.results.atomic_writes import require_replaceable, whole_folder
from flowdpo_pl.results.trained_run import FLOW, LAST, TrainedRun
from flowdpo_pl.verbs.base_argument import naming_base
from flowdpo_pl.verbs.hub_upload import HubUpload
from flowdpo_pl.visible import visible, visible_line

if TYPE_CHECKING:
    from flowdpo_pl.model.base import BaseModel
    from flowdpo_pl.types import Agent
    from flowdpo_pl.verbs.flow_recipe import FlowRecipe

PROMPTS = "prompts.json"
CARD = "README.md"


def export(
    run: Path,
    output: Path,
    which: str = LAST,
    merged: bool = False,
    base: str | None = None,
    base_id: str | None = None,
    push_to_hub: str | None = None,
    public: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a run's agents, a folder each, with tokenizer, prompts, flow and model card.

    Args:
        run: folder of a run of `fit`.
        output: the folder to write.
        which: adapters of the run: last, best, or another name in its `adapters`.
        merged: a whole model an agent, its adapter added to the base, instead of adapters.
        base: folder or hub id of the base, where the run's own is not there.
        base_id: the base's name on the hub, where the run had it as a folder.
        push_to_hub: USER/NAME, the repository to upload the folder to; a new one is private.
        public: make a new repository public.
        dry_run: list what would be uploaded, without the network.
        overwrite: replace an earlier export that is in the folder.
    """
    upload = _upload(push_to_hub, public, dry_run)
    _require_free(output, overwrite)
    trained = TrainedRun.at(run)
    trained.adapters(which)
    if base is None:
        trained.base_path(by="--base")
    if upload is not None:
        upload.require_ready()
    with naming_base():
        recipe, model = _recipe(trained, which, base, base_id)
    if merged:
        require_mergeable(model)
    told: list[str] = []
    with whole_folder(output) as folder, bars_on_a_terminal():
        folder.mkdir()
        for agent, adapter in recipe.adapters.items():
            if merged:
                told.append(_write_merged(folder / agent, agent, adapter, model, recipe))
            else:
                _write_adapter(folder / agent, adapter, recipe)
        _write_recipe(folder, recipe)
        _write_card(folder, trained, which, merged, recipe)
    agents = " and ".join(recipe.adapters)
    kind = "merged with its base" if merged else f"as adapters on {recipe.base.path}"
    print(visible_line(f"wrote {output}: {which} of {agents}, {kind}"))
    for line in told:
        print(visible_line(line))
    if not recipe.base.on_hub and not merged:
        print("the base is a folder: where others know it by a name on the hub, give that by --base_id")
    if upload is not None:
        print(visible(upload.upload(output)), flush=True)


def _upload(name: str | None, public: bool, dry_run: bool) -> HubUpload | None:
    if name is not None:
        return HubUpload(name, public, dry_run)
    if public or dry_run:
        raise UserError(
            f"--{'public' if public else 'dry_run'} is of an upload: give --push_to_hub USER/NAME."
        )
    return None


def _require_free(output: Path, overwrite: bool) -> None:
    """
    Raises:
        UserError: something is there that may not be replaced.
    """
    require_replaceable(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / FLOW).is_file() or not (output / PROMPTS).is_file():
        raise UserError(f"{output} is there already, and no export: remove it or choose another folder.")
    if not overwrite:
        raise UserError(
            f"{output} holds an export already: choose another folder, or replace it by --overwrite."
        )


def _recipe(
    run: TrainedRun, which: str, base: str | None, base_id: str | None
) -> tuple[FlowRecipe, BaseModel]:
    """What the agents play by, and their base as it is loaded here."""
    from flowdpo_pl.command_line.made_of import made_of
    from flowdpo_pl.command_line.taken_run import flow_of, taken_from
    from flowdpo_pl.model.base import BaseModel
    from flowdpo_pl.model.base_name import base_name
    from flowdpo_pl.verbs.bound_prompts import bound_prompts
    from flowdpo_pl.verbs.flow_recipe import FlowRecipe, flow_config

    given = {} if base is None else {"model": {"team": {"base": {"path": base}}}}
    taken = taken_from(run, which, "test", given).config
    team = taken["model"]["init_args"]["team"]
    settings = {**team["base"], **({} if base is None else {"path": base})}
    model = made_of(BaseModel, settings, f"the base of {run.folder}")
    is_folder = Path(model.path).expanduser().exists()
    name = base_name(base or str(run.base["path"]), is_folder, model.revision, base_id)
    flow = flow_of(team, run.folder)
    config = flow_config(taken, run.settings, name)
    recipe = FlowRecipe(
        config=config,
        team=config["model"]["init_args"]["team"],
        flow=flow,
        prompts=bound_prompts(flow, team["prompts"], model, run.folder),
        base=name,
        adapters={agent: Path(at) for agent, at in team["start"]["adapters"].items()},
    )
    return recipe, model


def _write_adapter(folder: Path, adapter: Path, recipe: FlowRecipe) -> None:
    """An adapter as it is, but for the name of its base."""
    from flowdpo_pl.model.adapter_config import adapter_config

    settings = adapter_config(adapter)
    settings["base_model_name_or_path"] = recipe.base.path
    settings["revision"] = recipe.base.revision if recipe.base.on_hub else None
    if isinstance(modules := settings["target_modules"], list):
        settings["target_modules"] = sorted(modules)
    folder.mkdir()
    _write_json(folder / "adapter_config.json", settings)
    shutil.copyfile(adapter / "adapter_model.safetensors", folder / "adapter_model.safetensors")


def _write_merged(folder: Path, agent: Agent, adapter: Path, base: BaseModel, recipe: FlowRecipe) -> str:
    """A whole model; returns what to know of it."""
    from flowdpo_pl.model.merging import merged

    sum_ = merged(base, adapter)
    generation: Any = sum_.model.generation_config
    ends = list(recipe.prompts.end_ids)
    generation.eos_token_id = ends if len(ends) > 1 else ends[0]
    sum_.model.save_pretrained(folder)
    sum_.tokenizer.save_pretrained(folder)
    return (
        f"{agent} in {base.dtype}: logits changed by {sum_.largest:.2e} at most and {sum_.mean:.2e} on "
        f"average from PEFT's own (they are {sum_.logits:.2e} on average)"
    )


def _write_recipe(folder: Path, recipe: FlowRecipe) -> None:
    recipe.prompts.save_tokenizer(folder)
    _write_json(folder / PROMPTS, recipe.plain())
    text = yaml.safe_dump(dict(recipe.config), sort_keys=False, allow_unicode=True)
    (folder / FLOW).write_text(
        f"# What the agents play by: for `ask` and `test --run`.\n{text}", encoding="utf-8"
    )


def _write_card(folder: Path, run: TrainedRun, which: str, merged: bool, recipe: FlowRecipe) -> None:
    from flowdpo_pl.model.lora import LoraSettings, adapter_fingerprint
    from flowdpo_pl.results.curves import read_curve
    from flowdpo_pl.results.learnt_from import learnt_from
    from flowdpo_pl.results.scores import scores_of
    from flowdpo_pl.verbs.card_code import CardCode
    from flowdpo_pl.verbs.model_card import CURVE, ModelCard

    base: Mapping[str, Any] = recipe.team["base"]
    code = CardCode(
        base=recipe.base.path,
        dtype=base.get("dtype", "bfloat16"),
        quantization=base.get("quantization"),
        agents=recipe.prompts.agents,
        adapted=list(recipe.adapters),
        rank=max(LoraSettings.of_saved(adapter).r for adapter in recipe.adapters.values()),
        merged=merged,
    )
    points, picture = run.folder / "accuracy_curve.csv", run.folder / CURVE
    if picture.is_file():
        shutil.copyfile(picture, folder / CURVE)
    fingerprints = {agent: adapter_fingerprint(adapter) for agent, adapter in recipe.adapters.items()}
    card = ModelCard(
        title=run.folder.resolve().name,
        which=which,
        recipe=recipe,
        code=code,
        settings=run.settings,
        data=learnt_from(run),
        summary=run.summary(),
        curve=read_curve(points, "run", 0) if points.is_file() and picture.is_file() else None,
        scores=scores_of(run.folder, fingerprints),
    )
    (folder / CARD).write_text(card.text(), encoding="utf-8")


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
