from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.learner import Learning
from flowdpo_pl.learn.who_learns import learners, learning_by_agent
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.team import Start, Team

FLOW = AnswerStopFlow()


def test_an_agent_without_its_own_learns_as_all_do() -> None:
    every, own = Learning(), Learning(lr=1.0)
    assert learning_by_agent(FLOW, every, {STOP: own}) == {ANSWER: every, STOP: own}
    with pytest.raises(UserError, match=r"model\.agent_learning names 'stopp'"):
        learning_by_agent(FLOW, every, {"stopp": own})


def test_whoever_is_not_frozen_learns_and_someone_must() -> None:
    team = Team(BaseModel("none"), {}, FLOW)
    assert learners(team, ()) == (ANSWER, STOP)
    assert learners(team, [ANSWER]) == (STOP,)
    with pytest.raises(UserError, match=r"model\.frozen names all of"):
        learners(team, [STOP, ANSWER])


def test_an_agent_without_an_adapter_never_learns() -> None:
    team = Team(BaseModel("none"), {}, FLOW, without_adapter=(STOP,))
    assert learners(team, ()) == (ANSWER,)
    with pytest.raises(UserError, match=r"model\.frozen names all of \['answer'\]"):
        learners(team, [ANSWER])
    with pytest.raises(UserError, match=r"without_adapter names 'critic', but the flow's agents are"):
        Team(BaseModel("none"), {}, FLOW, without_adapter=("critic",))
    with pytest.raises(UserError, match=r"without_adapter names all of"):
        Team(BaseModel("none"), {}, FLOW, without_adapter=(STOP, ANSWER))
    with pytest.raises(UserError, match=r"'stop', which model\.team\.start\.adapters gives one"):
        Team(BaseModel("none"), {}, FLOW, start=Start({STOP: "there"}), without_adapter=(STOP,))
