from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.preference_learner import Learning
from flowdpo_pl.learn.who_learns import learners, learning_by_agent
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow

FLOW = AnswerStopFlow()


def test_an_agent_without_its_own_learns_as_all_do() -> None:
    every, own = Learning(), Learning(lr=1.0)
    assert learning_by_agent(FLOW, every, {STOP: own}) == {ANSWER: every, STOP: own}
    with pytest.raises(UserError, match=r"model\.agent_learning names 'stopp'"):
        learning_by_agent(FLOW, every, {"stopp": own})


def test_whoever_is_not_frozen_learns_and_someone_must() -> None:
    assert learners(FLOW, ()) == (ANSWER, STOP)
    assert learners(FLOW, [ANSWER]) == (STOP,)
    with pytest.raises(UserError, match=r"model\.frozen names all of"):
        learners(FLOW, [STOP, ANSWER])
