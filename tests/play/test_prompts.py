"""What agents read: the text around the answer rendered once, the answer's own ids in between unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.flow import Write
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.types import Agent, Problem
from tests.example_trees import NO, choice, written
from tests.fakes import END, WordTokenizer
from tests.tokenizers import byte_level

PROMPTS = {
    ANSWER: AgentPrompt("solve {question}", system="be brief"),
    STOP: AgentPrompt("of {question} this {partial} finished?", options=("Yes", "No")),
}
PROBLEM = Problem("p", " one two ", "3")


def book_of(
    tokenizer: WordTokenizer,
    prompts: dict[Agent, AgentPrompt] | None = None,
    end_ids: tuple[int, ...] = (END,),
) -> PromptBook:
    return PromptBook(AnswerStopFlow(), prompts or PROMPTS, tokenizer, end_ids)  # type: ignore[arg-type]


def test_a_reader_has_the_answer_inside_its_prompt_and_a_writer_goes_on_after_it() -> None:
    tokenizer = WordTokenizer()
    book = book_of(tokenizer)
    moves = [written("a b", 901, 902), choice(NO), written("c", 903)]
    writer, reader = (book.context(agent, PROBLEM, moves) for agent in (ANSWER, STOP))
    assert writer.prefix == (*tokenizer.ids("be brief solve one two assistant:"), 901, 902, 903)
    assert writer.suffix == ()
    assert reader.prefix == (*tokenizer.ids("of one two this"), 901, 902, 903)
    assert reader.suffix == tokenizer.ids("finished? assistant:")


def test_end_tokens_and_verdicts_are_not_part_of_the_answer() -> None:
    book = book_of(WordTokenizer(), end_ids=(END, 77))
    assert book.answer_ids([written("a", 5, END), choice(NO), written("b", 6, 7)]) == (5, 6, 7)
    assert book.answer_ids([written("a", 5, 77)]) == (5, 77)  # engines say the first for all of them


def test_the_answer_as_text_and_text_as_an_answer() -> None:
    tokenizer = WordTokenizer()
    book = book_of(tokenizer)
    ids = book.written("three four")
    assert ids == (*tokenizer.ids("three four"), END)
    moves = [written("three four", *ids), choice(NO), written("five", *tokenizer.ids("five"))]
    assert book.answer(moves) == "three four five"


def test_braces_in_a_question_are_left_alone() -> None:
    tokenizer = WordTokenizer()
    context = book_of(tokenizer).context(STOP, Problem("p", "what is {partial} or {0}", ""), [])
    assert context.prefix == tokenizer.ids("of what is {partial} or {0} this")


def test_the_longest_context_leaves_room_for_all_that_is_written() -> None:
    book = book_of(WordTokenizer())
    flow = book.flow
    reads = []
    for position in flow.positions:
        if position.turn is not None:
            context = book.context(position.turn.agent, PROBLEM, position.moves)
            written_then = position.turn.max_tokens if isinstance(position.turn, Write) else 0
            reads.append(len(context.token_ids) + written_then)
    assert book.longest(PROBLEM) == max(reads)


def test_options_are_the_tokens_of_two_words() -> None:
    tokenizer = WordTokenizer()
    book = book_of(tokenizer)
    assert book.options(STOP) == (tokenizer.id("Yes"), tokenizer.id("No"))
    assert book.option_words(STOP) == ("Yes", "No")
    assert book.options(ANSWER) == ()
    bare = book_of(tokenizer, {STOP: AgentPrompt("{question} {partial}")})
    with pytest.raises(UserError, match=r"lets agent 'stop' choose among 2 words, but .* has none"):
        bare.require_words()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("Yes", "not yet"), r"option word 'not yet' of agent 'stop' is 2 tokens"),
        (("Yes", "Yes"), r"option words 'Yes' and 'Yes' of agent 'stop' are the same token"),
    ],
)
def test_options_that_cannot_be_told_apart_by_one_token_are_refused(
    options: tuple[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        book_of(WordTokenizer(), {STOP: AgentPrompt("{question} {partial}", options=options)})


def test_a_tokenizer_that_renders_no_chat_or_ends_no_turn_is_refused() -> None:
    tokenizer = WordTokenizer()
    with pytest.raises(UserError, match="names no end token: set eos_token_id"):
        book_of(tokenizer, end_ids=())
    tokenizer.chat_template = ""
    with pytest.raises(UserError, match="the tokenizer in a scripted tokenizer has no chat template"):
        book_of(tokenizer)


def test_template_arguments_reach_the_template() -> None:
    class Recording(WordTokenizer):
        def apply_chat_template(self, messages: list[dict[str, str]], **arguments: Any) -> str:
            given.append(arguments)
            return super().apply_chat_template(messages, **arguments)

    given: list[dict[str, Any]] = []
    Recording.chat_template = "{{ enable_thinking }}"
    prompt = AgentPrompt("{question}", template_arguments={"enable_thinking": False})
    book_of(Recording(), {ANSWER: prompt}).context(ANSWER, PROBLEM, [])
    assert given and all(one["enable_thinking"] is False for one in given)


def test_identities_differ_where_prompts_do() -> None:
    tokenizer = WordTokenizer()
    same = {**PROMPTS, STOP: AgentPrompt("of {question} this {partial} finished?", options=("Yes", "No"))}
    other = {**PROMPTS, ANSWER: AgentPrompt("solve {question}")}
    assert book_of(tokenizer).identity() == book_of(tokenizer, same).identity()
    assert book_of(tokenizer).identity() != book_of(tokenizer, other).identity()


def test_identities_differ_where_the_template_or_what_ends_a_turn_does() -> None:
    class Other(WordTokenizer):
        def apply_chat_template(self, messages: list[dict[str, str]], **arguments: Any) -> str:
            return "today " + super().apply_chat_template(messages, **arguments)

    identity = book_of(WordTokenizer()).identity()
    assert json.loads(json.dumps(identity)) == identity
    for other in (book_of(Other()), book_of(WordTokenizer(), end_ids=(END, 77))):
        theirs = other.identity()
        assert [key for key in identity[STOP] if theirs[STOP][key] != identity[STOP][key]] == ["rendered"]


def test_a_draft_may_stand_before_its_question() -> None:
    tokenizer = WordTokenizer()
    book = book_of(tokenizer, {STOP: AgentPrompt("draft {partial} of {question}", options=("Yes", "No"))})
    for question in ("one two", "three"):
        context = book.context(STOP, Problem("p", question, ""), [written("a", 901)])
        assert context.prefix == (*tokenizer.ids("draft"), 901)
        assert context.suffix == tokenizer.ids(f"of {question} assistant:")
        assert context.token_ids == context.prefix + context.suffix


def test_control_tokens_in_a_trace_are_text_and_tokens_at_hand_are_checked() -> None:
    tokenizer = byte_level()
    book = PromptBook(
        AnswerStopFlow(), {ANSWER: AgentPrompt("{question}")}, tokenizer, [tokenizer.eos_token_id]
    )
    end, text = tokenizer.eos_token_id, "so <|end|> is <think> 2"
    *ids, last = book.written(text)
    assert last == end and not book.controls.in_order(ids)
    assert book.decode(ids) == text
    assert book.holds_control(text) and not book.holds_control("so 2 < 3")
    assert book.wrote(ids, text) and not book.wrote(ids, text + " ") and not book.wrote([*ids, end], text)
    assert not book.wrote([10**9], text) and not book.wrote([-1], text)
