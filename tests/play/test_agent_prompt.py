"""A prompt that can't say what it should is refused as soon as it is read."""

from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.agent_prompt import AgentPrompt

TEAM = ("solver", "critic")


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("solve this", r"has no \{question\}: say where the problem goes"),
        ("{question} {Partial}", r"has \{Partial\}: write \{partial\}"),
        ("{question} { partial }", r"has \{ partial \}: write \{partial\}"),
        ("{question} {questions}", r"has \{questions\}: write \{question\}"),
        ("{question.all}", r"has \{question.all\}: write \{question\}"),
    ],
)
def test_a_place_that_would_be_shown_as_it_stands_is_refused(user: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        AgentPrompt(user)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("{question} {Solver}", r"has \{Solver\}: write \{solver\}"),
        ("{question} {critc}", r"has \{critc\}: write \{critic\}"),
        ("{question} {critic .all}", "no error"),
        ("say {number}", "has no .question. and no words of"),
    ],
)
def test_an_agent_s_name_is_spelt_as_the_flow_does(user: str, message: str) -> None:
    if message == "no error":
        assert AgentPrompt(user).places(TEAM) == ["{question}"]
        return
    with pytest.raises(UserError, match=message):
        AgentPrompt(user).places(TEAM)


def test_a_system_message_has_no_places() -> None:
    with pytest.raises(UserError, match=r"has \{question\}, which is filled in in user messages alone"):
        AgentPrompt("{question}", system="the problem is {question}")
    with pytest.raises(UserError, match=r"has \{critic\}, which is filled in in user messages alone"):
        AgentPrompt("{question}", system="mind {critic}").places(TEAM)


def test_one_word_is_no_choice() -> None:
    with pytest.raises(UserError, match="must be two words or more, or none"):
        AgentPrompt("{question}", options=("Yes",))
    assert AgentPrompt("{question}", options=("Yes", "No", "Maybe")).options[2] == "Maybe"


def test_places_are_filled_once_and_other_braces_left_alone() -> None:
    prompt = AgentPrompt(
        "{partial} of {question} is \\boxed{0}, {question} \\boxed{critic} {critic.all}{critic}"
    )
    assert prompt.places(TEAM) == ["{partial}", "{question}", "{question}", "{critic.all}", "{critic}"]
    filled = prompt.filled(
        {"{question}": "{partial} \\1", "{partial}": "{question}", "{critic.all}": "A", "{critic}": "C"}
    )
    assert filled == "{question} of {partial} \\1 is \\boxed{0}, {partial} \\1 \\boxed{critic} AC"
