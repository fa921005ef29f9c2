"""A template that would change a prompt without a word is refused, with the reason, when a team is loaded."""

from __future__ import annotations

import re
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.agent_prompt import AgentPrompt
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.play.rendering import Rendering
from tests.tokenizers import TEMPLATE, byte_level

READER = AgentPrompt("of {question} this {partial} finished?", options=("Yes", "No"))
TOLD = AgentPrompt("{question}", system="You solve problems.")
HEADER = "{% if add_generation_prompt %}<|begin|>assistant\n{% endif %}"
EACH = "{% for m in messages %}<|begin|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}" + HEADER
NO_SYSTEM = EACH.replace(
    "<|begin|>",
    "{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}<|begin|>",
    1,
)


def with_template(template: str) -> PreTrainedTokenizerFast:
    tokenizer = byte_level()
    tokenizer.chat_template = template
    return tokenizer


def rendering(template: str, prompt: AgentPrompt = READER, agent: str = STOP) -> Rendering:
    return Rendering(agent, prompt, with_template(template), (ANSWER, STOP))


def refused(template: str, message: str, prompt: AgentPrompt = READER) -> None:
    with pytest.raises(UserError, match=message) as caught:
        rendering(template, prompt)
    assert "\n" not in str(caught.value)


def test_a_prompt_is_the_template_s_text_around_its_places() -> None:
    found = rendering(EACH)
    assert found.parts == (
        ("<|begin|>user\nof ", " this "),
        (" finished?<|end|>\n<|begin|>assistant\n",),
    )
    assert found.spliced == ("{partial}",)
    assert found.of("1 + 1?") == ("<|begin|>user\nof 1 + 1? this ", found.parts[1][0])
    writer = rendering(EACH, TOLD, ANSWER)
    assert writer.spliced == ()
    assert writer.parts[0][0] == "<|begin|>system\nYou solve problems.<|end|>\n<|begin|>user\n"
    turned = rendering(EACH, AgentPrompt("{partial} of {question}"))
    assert turned.parts == (("<|begin|>user\n",), (" of ", "<|end|>\n<|begin|>assistant\n"))


def test_what_looks_like_the_inner_mark_stays_in_the_question() -> None:
    for text in (f"7{271828182:032b}", "\u2983partial\u2984", "{partial}"):
        before, after = rendering(EACH).of(text) or ("", "")
        assert before == f"<|begin|>user\nof {text} this "
        assert after == " finished?<|end|>\n<|begin|>assistant\n"


def test_a_template_that_rewrites_a_question_is_followed() -> None:
    found = rendering(EACH.replace("m['content']", "m['content'] | replace('!', '.')"))
    assert found.of("why!") == ("<|begin|>user\nof why. this ", found.parts[1][0])


def test_a_template_that_drops_or_doubles_a_message_is_refused() -> None:
    only_system = "{% for m in messages if m['role'] != 'user' %}{{ m['content'] }}{% endfor %}"
    refused(only_system, r"does not show the user message of team\.prompts\.stop with its \{question\} and")
    refused(EACH + "{{ messages[0]['content'] }}", "once and in order: use another")
    refused(EACH.replace("m['content']", "m['content'][:60]"), "does not show the user message")
    refused(EACH.replace("in messages", "in messages if m['role'] != 'system'"), "put the text", TOLD)


def test_a_template_that_refuses_a_system_message_is_named_with_what_to_do() -> None:
    refused(NO_SYSTEM, r"refuses a system message: put the text of team\.prompts\.stop\.system at the", TOLD)
    assert rendering(NO_SYSTEM).parts


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('never') }}",
        "{% for m in messages %}",
        "{{ messages[7]['content'] }}",
        "{{ 1 + messages }}",
    ],
)
def test_a_template_that_fails_is_one_sentence(template: str) -> None:
    refused(template, r"refuses the messages of team\.prompts\.stop \(.+\): mend the prompt")


@pytest.mark.parametrize(
    "template",
    [EACH + "{% if enable_thinking is defined %}{% endif %}", EACH + "{% generation %}{% endgeneration %}"],
)
def test_an_argument_that_the_template_does_not_read_is_refused(template: str) -> None:
    wrong = AgentPrompt("{question}", template_arguments={"enable_thinkin": False})
    refused(template, r"template_arguments\.enable_thinkin is no argument of the chat template", wrong)


def test_an_argument_that_the_template_reads_reaches_it() -> None:
    template = EACH + "{% if plainly is defined and plainly %}plain{% endif %}"
    given = AgentPrompt("{question}", template_arguments={"plainly": True})
    assert rendering(template, given).parts[0][-1].endswith("assistant\nplain")
    named = with_template(EACH)
    named.chat_template = {"other": template, "another": EACH}
    with pytest.raises(UserError, match=r"has several chat templates \(other, another\)"):
        Rendering(STOP, READER, named, (ANSWER, STOP))
    chosen = AgentPrompt("{question}", template_arguments={"chat_template": "other", "plainly": True})
    assert Rendering(STOP, chosen, named, (ANSWER, STOP)).parts[0][-1].endswith("plain")


def test_a_clock_is_refused_until_it_is_stopped() -> None:
    clock = "{% if not day is defined %}{% set day = strftime_now('%d %b %Y') %}{% endif %}{{ day }}" + EACH
    refused(clock, r"shows today's date \(strftime_now\).*template_arguments\.strftime_now to a date")
    for arguments in ({"strftime_now": "26 Jul 2024"}, {"day": "26 Jul 2024"}):
        stopped = rendering(clock, AgentPrompt("{question}", template_arguments=arguments))
        assert stopped.parts[0][0].startswith("26 Jul 2024<|begin|>")
    refused("{{ lipsum() }}" + EACH, "renders one message in two ways")


@pytest.mark.parametrize("opening", ["<think>\n", "<think>\nWell, ", "[THINK]", "<seed:think>"])
def test_a_thought_that_is_open_before_a_choice_is_named(opening: str) -> None:
    template = EACH.replace("assistant\n", "assistant\n" + opening)
    refused(template, f"opens {re.escape(opening.split(chr(10))[0])} before agent 'stop' chooses")
    assert rendering(template, AgentPrompt("{question}")), "a writer may think"
    closed = template.replace(opening, opening + opening.split("\n")[0].replace("<", "</").replace("[", "[/"))
    assert rendering(closed).parts[-1][-1]


def ends(template: str, *known: str) -> list[str]:
    tokenizer = with_template(template)
    ids = tokenizer.convert_tokens_to_ids(list(known))
    book = PromptBook(AnswerStopFlow(), {STOP: READER, ANSWER: TOLD}, tokenizer, ids)
    found: Any = tokenizer.convert_ids_to_tokens(list(book.end_ids))
    return list(found)


def test_what_ends_an_assistant_s_turn_is_an_end_token() -> None:
    assert ends(EACH, "<|end|>") == ["<|end|>"]
    assert ends(EACH, "<left>") == ["<left>", "<|end|>"], (
        "the tokenizer names another: the first stands for all"
    )
    assert ends(TEMPLATE.replace("<|end|>", " <|end|>"), "<|end|>") == ["<|end|>"]
    assert ends(EACH.replace("<|end|>", ""), "<|end|>") == ["<|end|>"], "nothing is shown: the model's own"


@pytest.mark.parametrize("behind", ["\nuser:", "<|begin|>user"])
def test_a_turn_that_ends_otherwise_is_refused(behind: str) -> None:
    template = (
        "{% for m in messages %}<|begin|>{{ m['role'] }}\n{{ m['content'] }}"
        "{{ '" + behind + "' if m['role'] == 'assistant' else '<|end|>' }}{% endfor %}" + HEADER
    )
    with pytest.raises(
        UserError, match=r"goes on with .* behind an assistant's message, but the model's end"
    ):
        ends(template, "<|end|>")


def test_a_template_that_drops_assistants_is_refused() -> None:
    with pytest.raises(UserError, match="drops an assistant's message"):
        ends(EACH.replace("in messages", "in messages if m['role'] != 'assistant'"), "<|end|>")
    last = "{% if messages[-1]['role'] != 'user' %}{{ raise_exception('ask') }}{% endif %}" + EACH
    assert ends(last, "<|end|>") == ["<|end|>"], "a template that wants a user's message last"
