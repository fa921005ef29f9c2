"""`--run RUN`: what a verb takes of a finished run, as a config that stands before all others.

Taken is what the run's agents are: team with base, prompts, flow and adapters, and who judges. What only
training needed is left, and so is the engine that played (see `known_code`); everything that is given beside
it wins.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdpo_pl.command_line.given import CLASS, Argument, arguments_of, flattened, given_by
from flowdpo_pl.command_line.known_code import played_team, require_known, told_of_engine
from flowdpo_pl.command_line.named_code import is_dotted
from flowdpo_pl.command_line.places import LOGGER, whole_path
from flowdpo_pl.command_line.told_run import told_of
from flowdpo_pl.command_line.verbs import Verb
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.foreign_json import read_json
from flowdpo_pl.results.trained_run import LAST, TrainedRun, is_there
from flowdpo_pl.visible import visible_line

if TYPE_CHECKING:
    from flowdpo_pl.play.flow import Flow

RUN, WHICH = "run", "which"
_EVALUATION = "flowdpo_pl.EvaluationModule"
_DATA = "flowdpo_pl.PromptDataModule"
_CALLBACKS = {
    "validate": ("FlowProgressBar", "AccuracyCurve", "RunSummary"),
    "test": ("EvaluationProgressBar", "PredictionLog"),
    "predict": ("EvaluationProgressBar", "TraceLog"),
}
"""By verb, unless others are given."""
_JUDGING, _MEASURING = ("verifier",), ("verifier", "sampling", "window", "score_margin")
"""Settings of the module besides its team: that others may know, and that its own verb `validate` has too."""
_OF_TRAINING = ("train", "test", "predict", "passes", "shuffle")
"""Of the data module, what `validate` does not read."""


@dataclass(frozen=True)
class Taken:
    """What a verb takes of a run."""

    config: Mapping[str, Any]
    """For the parser."""
    told: str
    """In a line: what was taken, and what was given instead."""
    left: str
    """In a sentence: the engine that was not taken; empty where there was none."""


def with_run(verb: Verb, words: Sequence[str], tell: bool = False) -> list[str]:
    """The words after a verb, with a run that they name as the first config among them.

    Args:
        verb: which verb.
        words: as they were typed.
        tell: say on the screen what is taken.

    Raises:
        UserError: the folder is no finished run, its base is not there, or a config can't be read.
    """
    arguments = arguments_of(words)
    named = {argument.key: argument.value for argument in arguments if argument.key in (RUN, WHICH)}
    if not verb.of_run or not named:
        return list(words)
    if not named.get(RUN):
        raise UserError(f"--{RUN} names a run: give its folder, such as --{RUN} runs/quickstart.")
    rest = [argument for argument in arguments if argument.key not in (RUN, WHICH)]
    given = given_by(rest)
    taken = taken_from(TrainedRun.at(str(named[RUN])), named.get(WHICH) or LAST, verb.name, given)
    if tell:
        print(visible_line(taken.told), file=sys.stderr)
    if taken.left and "LOCAL_RANK" not in os.environ:  # heard in Python too: it may take longer than it did
        print(visible_line(taken.left), file=sys.stderr)
    rest += _completing(taken.config, given)
    return [f"--config={_as_yaml(taken.config)}", *(argument.written() for argument in rest)]


def taken_from(run: TrainedRun, which: str, verb: str, given: Mapping[str, Any]) -> Taken:
    """
    Args:
        run: the run.
        which: of its adapters: `last`, `best`, ….
        verb: who takes it: `validate`, `test` or `predict`.
        given: what is given beside it, flattened.

    Raises:
        UserError: see `TrainedRun` and `require_known`; or the verb plays no model of the run's kind.
    """
    own = played_team(run)
    judged = _MEASURING if verb == "validate" else _JUDGING
    settings = {key: run.settings[key] for key in judged if key in run.settings}
    module = run.module if verb == "validate" else _EVALUATION
    data = _data(run) if verb == "validate" else {CLASS: _DATA}
    sections = {"model": {CLASS: module, "init_args": {"team": own, **settings}}, "data": data}
    require_known(run, sections, given)
    adapters = run.adapters(which)
    if verb == "validate" and run.is_fine_tuned:
        raise UserError(
            f"{run.folder} has fine-tuned a single model, which validate does not play: measure it by "
            f"`test --{RUN} {run.folder}`."
        )
    if verb == "validate" and run.is_exported:
        raise UserError(
            f"{run.folder} is an export, which keeps no problems to validate on: measure it by "
            f"`test --{RUN} {run.folder} --data.test.path=PROBLEMS`."
        )
    if not run.is_fine_tuned:
        _require_all(run, adapters, which)
    team = _single(run, own) if run.is_fine_tuned else own
    flow = _given_at(given, "model", "team", "flow") or team.get("flow")
    without = _given_at(given, "model", "team", "without_adapter") or ()
    playing = _those_of(flow, _adapters(team, run, adapters))
    start = {
        "adapters": {agent: at for agent, at in playing.items() if agent not in without},
        "reference": "base",
    }
    team |= {"start": start, "base": {**run.base}}
    if _given_at(given, "model", "team", "base", "path") is None:
        team["base"]["path"] = run.base_path()
    seed = run.config.get("seed_everything")
    known = {
        "seed_everything": seed if isinstance(seed, int) else 0,
        "model": {CLASS: module, "init_args": {"team": team, **settings}},
        "data": data,
    }
    trainer: dict[str, Any] = {
        "logger": _logger(run.folder),
        "callbacks": [{CLASS: f"callbacks.{name}"} for name in _CALLBACKS[verb]],
    }
    if run.trainer.get("accelerator") == "cpu":  # which every machine has
        trainer["accelerator"] = "cpu"
    told = told_of(run.folder, which, flattened(known), given)
    return Taken({**known, "trainer": trainer}, told, told_of_engine(run, given))


def _completing(taken: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Argument]:
    """The agents of the run that a config beside it leaves out: the parser takes such a config's for all."""
    team = taken["model"]["init_args"]["team"]
    for keys in (("prompts",), ("start", "adapters")):
        own, theirs = _given_at(team, *keys), _given_at(given, "model", "team", *keys)
        if isinstance(theirs, Mapping) and theirs:
            for agent in own.keys() - theirs.keys():
                value = own[agent]
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                yield Argument(".".join(("model.team", *keys, agent)), text)


def _require_all(run: TrainedRun, adapters: Mapping[str, str], which: str) -> None:
    """
    Raises:
        UserError: an agent that learnt has no adapter there; it would play the base, and nobody would know.
    """
    agents = getattr(class_of(run.team.get("flow")), "agents", ())
    without = run.team.get("without_adapter") or ()
    if missing := [agent for agent in agents if agent not in adapters and agent not in without]:
        raise UserError(
            f"{run.folder / 'adapters' / which} has no adapter of agent '{missing[0]}': give others of the "
            f"run by --{WHICH}."
        )


def _single(run: TrainedRun, team: Mapping[str, Any]) -> dict[str, Any]:
    """The team of a model that was fine-tuned on whole answers: it writes them in one go.

    Raises:
        UserError: its flow can't be made, or the one who writes in it has no prompt.
    """
    from flowdpo_pl.play.flows.single import SingleFlow

    own = flow_of(team, run.folder)
    if own.writer not in team["prompts"]:
        raise UserError(f"{run.folder} has no prompt of agent '{own.writer}': mend its config.")
    most = own.max_answer_tokens
    if (context := _context_of(run)) is not None:
        most = min(most, context // 2)  # fine-tuning sets no length; half of what is read is for the question
    prompts = {SingleFlow.writer: team["prompts"][own.writer]}
    single = {CLASS: "flowdpo_pl.SingleFlow", "init_args": {"max_tokens": most}}
    return {**team, "prompts": prompts, "flow": single, "without_adapter": []}


def flow_of(team: Mapping[str, Any], folder: Path) -> Flow:
    """The rules that a team plays by.

    Args:
        team: as a config has it.
        folder: of its run, for messages.

    Raises:
        UserError: their class can't be imported from here, or does not take their settings.
    """
    from flowdpo_pl.play.flow import Flow

    given = team.get("flow") or {}
    own = given if isinstance(given, Mapping) else {CLASS: given}
    name = own.get(CLASS) or "flowdpo_pl.AnswerStopFlow"
    flow = class_of(name)
    if not (isinstance(flow, type) and issubclass(flow, Flow)):
        raise UserError(f"the flow of {folder}, {name}, can't be imported: go to the folder of its file.")
    try:
        return flow(**(own.get("init_args") or {}))
    except TypeError as error:
        raise UserError(f"the flow of {folder} does not take its settings ({error}): mend them.") from error


def _context_of(run: TrainedRun) -> int | None:
    """Tokens that the run's base can read, where its folder is here."""
    place = run.found(str(run.base["path"]))
    if not is_there(place):
        return None
    try:
        config = read_json(Path(place).expanduser() / "config.json", "the config of a base")
    except UserError:  # whoever loads the base says it
        return None
    tokens = config.get("max_position_embeddings") if isinstance(config, Mapping) else None
    return tokens if isinstance(tokens, int) else None


def _adapters(team: Mapping[str, Any], run: TrainedRun, found: Mapping[str, str]) -> dict[str, str]:
    """By agent, who of a fine-tuned model is the only one that there is a prompt for."""
    if not run.is_fine_tuned:
        return dict(found)
    (folder,), (agent,) = found.values(), team["prompts"]
    return {agent: folder}


def _those_of(flow: Any, adapters: Mapping[str, str]) -> dict[str, str]:
    """Without the adapters of agents that the flow does not have."""
    agents = getattr(class_of(flow), "agents", None)
    return {agent: at for agent, at in adapters.items() if agents is None or agent in agents}


def class_of(given: Any) -> Any:
    """The class that a config names at a place; None if it can't be imported, which the parser will say.

    The parser imports no names but of identifiers, and so nothing else is imported here.
    """
    path = given.get(CLASS) if isinstance(given, Mapping) else given
    if not isinstance(path, str) or not is_dotted(whole_path(path)):
        return None
    module, _, name = whole_path(path).rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except (ImportError, ValueError):
        return None


def _data(run: TrainedRun) -> dict[str, Any]:
    """What `validate` plays: the data module with the problems it validates on."""
    settings = run.data.get("init_args")
    data = {**run.data, "init_args": {**(settings if isinstance(settings, Mapping) else {})}}
    if data.get(CLASS) == _DATA:
        for key in _OF_TRAINING:
            data["init_args"].pop(key, None)
        source = data["init_args"].get("validation")
        if isinstance(source, Mapping) and isinstance(path := source.get("path"), str):
            data["init_args"]["validation"] = {**source, "path": run.found(path)}
    return data


def _logger(folder: Path) -> dict[str, Any]:
    """Results lie in a folder of the verb's name below the run's."""
    place = folder if folder.name not in ("", "..") else folder.resolve()
    return {
        CLASS: LOGGER,
        "init_args": {"save_dir": str(place.parent), "name": place.name, "version": ""},
    }


def _given_at(given: Mapping[str, Any], *keys: str) -> Any:
    value: Any = given
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _as_yaml(config: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(dict(config), allow_unicode=True, sort_keys=False)
    return text


def run_argument(run: TrainedRun | Path | str, which: str = LAST) -> list[str]:
    """The words that name a run, for whoever calls a verb."""
    folder = run.folder if isinstance(run, TrainedRun) else run
    return [Argument(RUN, str(folder)).written(), Argument(WHICH, which).written()]
