"""A team is a recipe: wrong ones are refused before anything is loaded, and loading gives what it says.

Also tests `play.players`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.flows.single import SingleFlow
from flowdpo_pl.play.prompts import AgentPrompt
from flowdpo_pl.play.team import Budget, Start, Team
from flowdpo_pl.types import Problem
from tests.runs import MODEL, PROMPTS

TEAM = Team(
    BaseModel(str(MODEL), dtype="float32"),
    PROMPTS,
    AnswerStopFlow(chunk_tokens=12, max_chunks=4),
    LoraSettings(r=4, alpha=8, dropout=0.1),
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of two adapters that are not the zero start."""
    folder, players = tmp_path_factory.mktemp("adapters"), TEAM.load(seed=3)
    for agent in players.agents.names:
        for parameter in players.agents.parameters_of(agent):
            parameter.data.normal_(generator=torch.Generator().manual_seed(0))
    players.agents.save(folder)
    return {agent: str(folder / agent) for agent in players.agents.names}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"start": Start({"critic": "x"})}, "model.team.start.adapters names 'critic'"),
        ({"start": Start(reference="initial")}, "without model.team.start.adapters"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_before_loading(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Team(BaseModel("no/such/model"), PROMPTS, **wrong)


@pytest.mark.parametrize("name", ["decode_tokens", "update_tokens", "cpu_threads"])
def test_a_budget_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} is 0: give at least 1"):
        Budget(**{name: 0})


def test_an_agent_without_a_prompt_is_named_before_the_base_is_loaded() -> None:
    with pytest.raises(UserError, match=r"no prompt for agent 'stop': set model\.team\.prompts\.stop"):
        Team(BaseModel("no/such/model"), {ANSWER: PROMPTS[ANSWER]}).load(seed=0)


def test_a_flow_whose_settings_nobody_knows_is_refused() -> None:
    class Plain(Flow):
        agents, writer = ("a",), "a"

        def turn(self, moves: object) -> None:
            return None

    with pytest.raises(UserError, match=r"Plain is no dataclass: put @dataclass\(frozen=True\) above"):
        Team(BaseModel("none"), {}, Plain())


def test_a_flow_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(UserError, match="set fewer or shorter chunks"):
        replace(TEAM, flow=AnswerStopFlow(chunk_tokens=400, max_chunks=4)).load(seed=0)


def test_the_writer_is_loaded_alone_and_without_the_flow_s_room() -> None:
    players = replace(TEAM, flow=AnswerStopFlow(chunk_tokens=400, max_chunks=4)).load_writer(seed=0)
    assert players.agents.names == players.prompts.agents == (ANSWER,)


def test_the_start_is_loaded_and_becomes_the_reference_where_it_is_said(saved: dict[str, str]) -> None:
    plain = TEAM.load(seed=3)
    warm = replace(TEAM, start=Start(saved, "initial")).load(seed=3)
    half = replace(TEAM, start=Start({STOP: saved[STOP]})).load(seed=3)
    for agent, moved in ((ANSWER, False), (STOP, True)):
        for own, start, none in zip(
            *(players.agents.parameters_of(agent) for players in (half, warm, plain)), strict=True
        ):
            assert torch.equal(own, start if moved else none)
    assert plain.identity()["reference"] == half.identity()["reference"] == "base"
    assert warm.identity()["reference"].startswith("initial adapters ")


def test_a_team_to_be_measured_takes_its_shape_from_its_start(saved: dict[str, str], tmp_path: Path) -> None:
    other = replace(TEAM, lora=LoraSettings(r=16), start=Start(saved)).shaped_by_start()
    assert replace(other.lora, target_modules="") == LoraSettings(
        r=4, alpha=8, dropout=0.0, target_modules=""
    )
    assert TEAM.shaped_by_start().lora.r == 1
    replace(TEAM, flow=SingleFlow(12), lora=LoraSettings(r=2)).load(seed=0).agents.save(tmp_path)
    with pytest.raises(UserError, match=r"adapters\.answer and .*adapters\.stop have other shapes"):
        replace(TEAM, start=Start({ANSWER: str(tmp_path / ANSWER), STOP: saved[STOP]})).shaped_by_start()


def test_players_of_equal_recipes_are_exchangeable_and_others_are_not() -> None:
    identity = TEAM.load(seed=0).identity()
    assert json.loads(json.dumps(identity)) == identity == TEAM.load(seed=1).identity()
    for name, other in {
        "flow": replace(TEAM, flow=AnswerStopFlow(12, 3)),
        "lora": replace(TEAM, lora=LoraSettings(r=4, alpha=4)),
        "prompts": replace(TEAM, prompts={**PROMPTS, ANSWER: AgentPrompt("{question} Think.")}),
    }.items():
        theirs = other.load(seed=0).identity()
        assert [key for key in identity if theirs[key] != identity[key]] == [name]


def test_a_problem_is_admitted_if_its_longest_context_fits() -> None:
    players = TEAM.load(seed=0)
    assert players.admit(Problem("p", "How many?", "1")) is None
    assert players.admit(Problem("p", "many " * players.agents.context_limit, "1")) == "too long"
