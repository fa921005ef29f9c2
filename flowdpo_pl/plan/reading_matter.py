"""How long what a run reads is: from the tokenizer and the data that are here, else assumed and said so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.errors import UserError
from flowdpo_pl.plan.sketched_prompts import PromptShape
from flowdpo_pl.play.agent_prompt import QUESTION, AgentPrompt
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.types import Agent, Problem

_LOOKED_AT = 64
_QUESTION, _LONG_QUESTION = 70, 250
"""Tokens of a question where none is here: of GSM8K's and MetaMath's size, and of their longest."""
_CHARACTERS = 4
"""Of a token of English, where no tokenizer is here."""
_TEMPLATE = 25
"""Tokens that a chat template puts around a system and a user message."""


@dataclass(frozen=True)
class ReadingMatter:
    """Of a run's problems or traces."""

    count: int | None
    """In one pass; None if nobody knows."""
    typical: Mapping[Agent, PromptShape]
    longest: Mapping[Agent, PromptShape]
    assumed: str
    """What these numbers rest on, as a clause."""


def reading_matter(
    base: str,
    flow: Flow,
    prompts: Mapping[Agent, AgentPrompt],
    source: ProblemSource | None,
    trust_remote_code: bool = False,
) -> ReadingMatter:
    """Looks at 64 questions of a local source, through the tokenizer in the base's folder.

    Raises:
        UserError: the tokenizer can't be read.
    """
    questions, count = _questions(source)
    tokenizer = _tokenizer(base, trust_remote_code)
    if tokenizer is not None and questions:
        lengths = _rendered(flow, prompts, tokenizer, questions)
        told = f"prompts are those of {len(questions)} questions of the data"
    else:
        sizes = [len(question) // _CHARACTERS for question in questions] or [_QUESTION, _LONG_QUESTION]
        lengths = [
            {agent: _guessed(flow, prompt, size) for agent, prompt in prompts.items()} for size in sizes
        ]
        of = "those of the data" if questions else f"{_QUESTION} tokens, {_LONG_QUESTION} at most"
        told = f"questions are {of}, a token {_CHARACTERS} characters"
    return ReadingMatter(count, _mean(lengths), _most(lengths), told)


def _questions(source: ProblemSource | None) -> tuple[list[str], int | None]:
    if source is None or not source.is_here:
        return [], source.limit if source is not None else None
    rows = source.open()
    first = next(iter(rows.chunks(_LOOKED_AT, None)), [])
    questions = [str(row.values.get(source.question_field, "")) for row in first]
    count = rows.total
    if count is not None and source.part is not None:
        count = round(count * (source.part[1] - source.part[0]))
    known = [number for number in (count, source.limit) if number is not None]
    return questions, min(known, default=None)


def _tokenizer(base: str, trust_remote_code: bool) -> Any:
    if not Path(base).expanduser().joinpath("tokenizer_config.json").is_file():
        return None
    from transformers import AutoTokenizer

    try:  # without a word on its own code transformers would ask on the terminal
        return AutoTokenizer.from_pretrained(base, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise UserError(f"the tokenizer of {base!r} can't be read: {first}") from error


def _rendered(
    flow: Flow, prompts: Mapping[Agent, AgentPrompt], tokenizer: Any, questions: Sequence[str]
) -> list[dict[Agent, PromptShape]]:
    from flowdpo_pl.play.prompts import PromptBook

    book = PromptBook(flow, prompts, tokenizer, (tokenizer.eos_token_id,))
    return [
        {
            agent: PromptShape(
                tuple(map(len, book.around(agent, Problem("", question, "")))), book.spliced(agent)
            )
            for agent in prompts
        }
        for question in islice(questions, _LOOKED_AT)
    ]


def _guessed(flow: Flow, prompt: AgentPrompt, question: int) -> PromptShape:
    spliced = tuple(place for place in prompt.places(flow.agents) if place != QUESTION)
    rest, parts = prompt.user, []
    for place in spliced:
        before, _, rest = rest.partition(place)
        parts.append(before)
    tokens = [
        len(part.replace(QUESTION, "")) // _CHARACTERS + question * part.count(QUESTION)
        for part in (*parts, rest)
    ]
    end = _TEMPLATE // 3
    tokens[0] += len(prompt.system) // _CHARACTERS + _TEMPLATE - end
    tokens[-1] += end
    return PromptShape(tuple(tokens), spliced)


def _mean(lengths: Sequence[Mapping[Agent, PromptShape]]) -> dict[Agent, PromptShape]:
    return _each(lengths, lambda numbers: round(sum(numbers) / len(numbers)))


def _most(lengths: Sequence[Mapping[Agent, PromptShape]]) -> dict[Agent, PromptShape]:
    return _each(lengths, max)


def _each(
    lengths: Sequence[Mapping[Agent, PromptShape]], summary: Callable[[Sequence[int]], int]
) -> dict[Agent, PromptShape]:
    """One number for each part of each agent's prompt."""
    return {
        agent: replace(
            shape,
            tokens=tuple(summary(part) for part in zip(*(one[agent].tokens for one in lengths), strict=True)),
        )
        for agent, shape in lengths[0].items()
    }
