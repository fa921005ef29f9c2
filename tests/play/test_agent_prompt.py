"""A prompt that can't say what it should is refused as soon as it is read."""

from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.agent_prompt import AgentPrompt


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("solve this", r"has no \{question\}: say where the problem goes"),
        ("{question} {partial} or {partial}", r"has \{partial\} 2 times: the answer so far has one place"),
        ("{question} {Partial}", r"has \{Partial\}: write \{question\} or \{partial\}"),
        ("{question} { partial }", r"has \{ partial \}: write"),
        ("{question} {questions}", r"has \{questions\}: write"),
    ],
)
def test_a_place_that_would_be_shown_as_it_stands_is_refused(user: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        AgentPrompt(user)


def test_a_system_message_has_no_places() -> None:
    with pytest.raises(UserError, match=r"has \{question\}, which is filled in in user messages alone"):
        AgentPrompt("{question}", system="the problem is {question}")


@pytest.mark.parametrize("options", [("Yes",), ("Yes", "No", "Maybe")])
def test_a_prompt_has_two_options_or_none(options: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="must be two words, or none"):
        AgentPrompt("{question}", options=options)


def test_places_are_filled_once_and_other_braces_left_alone() -> None:
    prompt = AgentPrompt("{partial} of {question} is \\boxed{0}, {question}")
    assert prompt.places == ["{partial}", "{question}", "{question}"]
    filled = prompt.filled({"{question}": "{partial} \\1", "{partial}": "{question}"})
    assert filled == "{question} of {partial} \\1 is \\boxed{0}, {partial} \\1"
    assert prompt.reads_partial and not AgentPrompt("{question}").reads_partial
