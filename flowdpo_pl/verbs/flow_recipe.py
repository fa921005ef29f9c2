"""What the agents of a run play by, written down twice: for this program, and for plain code.

`flow.yaml` has the sections of a config that `ask` and `test --run` take of a run. `prompts.json` has, by
agent, what it reads as rendered text with places, and how much it writes or which tokens it chooses from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.model.base_name import BaseName
from flowdpo_pl.play.flow import Flow, Write
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.types import Agent

_OF_TEAM = ("base", "prompts", "flow", "lora", "without_adapter")
_OF_BASE = ("path", "dtype", "quantization", "revision", "trust_remote_code")
_OF_MODULE = ("sampling", "verifier")


@dataclass(frozen=True)
class FlowRecipe:
    """A team as it is exported."""

    config: Mapping[str, Any]
    """The sections of `flow.yaml`."""
    team: Mapping[str, Any]
    """Of these: base, prompts, flow, lora, without_adapter."""
    flow: Flow
    prompts: PromptBook
    base: BaseName
    adapters: Mapping[Agent, Path]
    """Folders of those agents that have one."""

    def plain(self) -> dict[str, Any]:
        """The content of `prompts.json`."""
        agents = {agent: self._agent(agent) for agent in self.prompts.agents}
        return {"agents": agents, "ends": list(self.prompts.end_ids)}

    def _agent(self, agent: Agent) -> dict[str, Any]:
        told: dict[str, Any] = {"reads": self.prompts.plain(agent)}
        turns = {position.turn for position in self.flow.positions if position.turn is not None}
        written = [turn.max_tokens for turn in turns if isinstance(turn, Write) and turn.agent == agent]
        if written:
            told["writes"] = max(written)
        if ids := self.prompts.options(agent):
            told["chooses"] = dict(zip(self.prompts.option_words(agent), ids, strict=True))
        return told


def without_places(value: Any) -> Any:
    """Settings with the names alone of files that lie at a place of this machine."""
    if isinstance(value, Mapping):
        return {key: without_places(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(inner) for inner in value]
    if isinstance(value, str) and Path(value).expanduser().is_absolute():
        return Path(value).name
    return value


def flow_config(taken: Mapping[str, Any], settings: Mapping[str, Any], base: BaseName) -> dict[str, Any]:
    """The sections of `flow.yaml`.

    Args:
        taken: what a test takes of the run, as a config.
        settings: of the run's module.
        base: its name away from here.
    """
    team = {key: taken["model"]["init_args"]["team"].get(key) for key in _OF_TEAM}
    team = {key: value for key, value in team.items() if value is not None}
    own = {key: team["base"][key] for key in _OF_BASE if key in team["base"]}
    prompts = team.pop("prompts")
    team["base"] = {**own, "path": base.path, "revision": base.revision}
    module = {key: settings[key] for key in _OF_MODULE if settings.get(key) is not None}
    return {
        "seed_everything": taken["seed_everything"],
        "model": {
            "class_path": taken["model"]["class_path"],
            "init_args": {"team": {**without_places(team), "prompts": prompts}, **without_places(module)},
        },
    }
