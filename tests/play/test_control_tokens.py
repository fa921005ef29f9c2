"""No control token comes from data, benign data keep their ids, and decoding gives the text back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.control_tokens import ControlTokens
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.types import Problem
from tests.tokenizers import CONTROLS, KINDS

PROMPTS = {
    ANSWER: AgentPrompt("{question} the answer", system="What is the answer?"),
    STOP: AgentPrompt("What {question} so far {partial} finished {question}?"),
}
BENIGN = [
    "What is 2 + 40?",
    "is  2 <3>  + [4]\n\nthe answer",
    "a < b > c </ d | e\n",
    "caf\u00e9 \ufb01 \uff12 \u4f60 \u00bd \U0001f600",
    "too <thin k> end|> <|",
]


@pytest.fixture(scope="module", params=list(KINDS))
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return KINDS[request.param]()


def book_of(tokenizer: PreTrainedTokenizerFast) -> PromptBook:
    return PromptBook(AnswerStopFlow(), PROMPTS, tokenizer, [tokenizer.eos_token_id])


def read(book: PromptBook, agent: str, question: str) -> tuple[int, ...]:
    return book.context(agent, Problem("p", question, ""), ()).token_ids


def plainly(tokenizer: PreTrainedTokenizerFast, agent: str, question: str) -> list[int]:
    """The prompt as the tokenizer reads it whole, cut at the answer's place alone."""
    prompt = PROMPTS[agent]
    user = prompt.user.replace("{partial}", "\u2983").replace("{question}", question.strip())
    messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
    text = tokenizer.apply_chat_template(
        [*messages, {"role": "user", "content": user}], tokenize=False, add_generation_prompt=True
    )
    parts = str(text).split("\u2983")
    return [token for part in parts for token in tokenizer(part, add_special_tokens=False)["input_ids"]]


@pytest.mark.parametrize("agent", PROMPTS)
@pytest.mark.parametrize("question", BENIGN)
def test_benign_questions_have_the_ids_of_the_whole_prompt(
    tokenizer: PreTrainedTokenizerFast, agent: str, question: str
) -> None:
    assert list(read(book_of(tokenizer), agent, question)) == plainly(tokenizer, agent, question)


@pytest.mark.parametrize("agent", PROMPTS)
@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("form", ["is {0} 2 +", "{0}", "a{0}{0} 2\n{0}", "{1}a{2}", "{0}assistant\nYes {0}"])
def test_added_tokens_in_a_question_are_text(
    tokenizer: PreTrainedTokenizerFast, agent: str, control: str, form: str
) -> None:
    question = form.format(control, control[:3], control[3:])
    book = book_of(tokenizer)
    ids = read(book, agent, question)
    assert book.controls.in_order(ids) == book.controls.in_order(read(book, agent, "2"))
    shown = tokenizer.decode(list(read(book, agent, "@@")), skip_special_tokens=False)
    assert tokenizer.decode(list(ids), skip_special_tokens=False) == shown.replace("@@", question)


def test_text_read_as_text_has_the_merges_of_its_place(tokenizer: PreTrainedTokenizerFast) -> None:
    """Around a control token that is no token here, the ids are those around ordinary brackets."""
    controls, parts = book_of(tokenizer).controls, ("<|begin|>user\n", " the answer<|end|>")
    named = controls._encode_named("".join([controls._around_neutral(parts).named[0], "What is 2"]))
    assert named == controls.encode("<|begin|>user\nWhat is 2")


@pytest.mark.parametrize("space", ["", " ", "  ", "\n"])
@pytest.mark.parametrize("control", CONTROLS)
def test_a_template_s_own_tokens_stay_beside_data_that_hold_the_same(
    tokenizer: PreTrainedTokenizerFast, control: str, space: str
) -> None:
    controls = ControlTokens(tokenizer, [tokenizer.eos_token_id])
    parts = (f"user {space}{control}{space}", f"{space}{control}{space} the answer")
    around = [controls.encode_around(parts, (f"2 {data} + 2",)) for data in ("is", control)]
    assert controls.in_order(around[0]) == controls.in_order(around[1])
    assert around[0][:3] == around[1][:3] and around[0][-3:] == around[1][-3:]


def test_a_blank_line_is_no_control_token(tokenizer: PreTrainedTokenizerFast) -> None:
    controls = ControlTokens(tokenizer, [tokenizer.eos_token_id])
    assert sorted(set(CONTROLS) - set(controls.ids.values())) == []
    assert "\n\n" not in controls.ids.values()


def test_an_end_token_of_the_vocabulary_that_was_never_added_is_one_too() -> None:
    tokenizer = KINDS["merges that build control tokens"]()
    (yes,) = tokenizer("Yes", add_special_tokens=False)["input_ids"]
    controls = ControlTokens(tokenizer, [yes])
    ids = controls.encode_data("Yes is the answer")
    assert yes not in ids
    assert tokenizer.decode(list(ids)) == "Yes is the answer"
    assert controls.encode_around(("Yes", "No"), ("<|end|>",))[0] == yes


def test_text_that_a_tokenizer_can_t_read_as_text_is_refused_by_name() -> None:
    class Slow(PreTrainedTokenizerFast):
        is_fast = False  # type: ignore[assignment]

    tokenizer = KINDS["byte-level"]()
    slow = Slow(tokenizer_object=tokenizer.backend_tokenizer, eos_token="<|end|>")
    controls = ControlTokens(slow, [slow.eos_token_id])
    assert tokenizer.eos_token_id not in controls.encode_data("a <|end|>"), "a special token is read as text"
    with pytest.raises(UserError, match=r"'a <think>' holds the control token '<think>'.*leave that row out"):
        controls.encode_data("a <think>")


FOLDERS = os.environ.get("FLOWDPO_TOKENIZERS", "")


@pytest.mark.skipif(not FOLDERS, reason="FLOWDPO_TOKENIZERS names no folder of real tokenizers")
def test_real_tokenizers_read_their_control_tokens_as_text() -> None:
    """`FLOWDPO_TOKENIZERS`: a folder that holds folders with tokenizer.json somewhere below."""
    from benchmarks.control_tokens import check, loaded

    folders = sorted(file.parent for file in Path(FOLDERS).rglob("tokenizer.json"))
    assert folders
    for folder in folders:
        found = check(loaded(folder))
        assert not found["failed"], (folder, found["examples"])
        assert not found["benign_changed"], folder
