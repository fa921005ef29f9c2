"""How long what a run reads is: from the tokenizer and the data that are here, else assumed and said so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.data.rows import names_a_file, open_rows
from flowdpo_pl.plan.paths import PromptTokens
from flowdpo_pl.play.agent_prompt import AgentPrompt
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
    typical: Mapping[Agent, PromptTokens]
    longest: Mapping[Agent, PromptTokens]
    assumed: str
    """What these numbers rest on, as a clause."""


def reading_matter(
    base: str, prompts: Mapping[Agent, AgentPrompt], source: ProblemSource | None
) -> ReadingMatter:
    """Looks at 64 questions of a local source, through the tokenizer in the base's folder."""
    questions, count = _questions(source)
    tokenizer = _tokenizer(base)
    if tokenizer is not None and questions:
        lengths = _rendered(prompts, tokenizer, questions)
        told = f"prompts are those of {len(questions)} questions of the data"
    else:
        sizes = [len(question) // _CHARACTERS for question in questions] or [_QUESTION, _LONG_QUESTION]
        lengths = [{agent: _guessed(prompt, size) for agent, prompt in prompts.items()} for size in sizes]
        of = "those of the data" if questions else f"{_QUESTION} tokens, {_LONG_QUESTION} at most"
        told = f"questions are {of}, a token {_CHARACTERS} characters"
    return ReadingMatter(count, _mean(lengths), _most(lengths), told)


def _questions(source: ProblemSource | None) -> tuple[list[str], int | None]:
    if source is None or not names_a_file(source.path) or not Path(source.path).expanduser().exists():
        return [], source.limit if source is not None else None
    rows = open_rows(source.path, source.name, source.split)
    first = next(iter(rows.chunks(_LOOKED_AT, None)), [])
    questions = [str(row.values.get(source.question_field, "")) for row in first]
    count = rows.total
    if count is not None and source.part is not None:
        count = round(count * (source.part[1] - source.part[0]))
    known = [number for number in (count, source.limit) if number is not None]
    return questions, min(known, default=None)


def _tokenizer(base: str) -> Any:
    if not Path(base).expanduser().joinpath("tokenizer_config.json").is_file():
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


def _rendered(
    prompts: Mapping[Agent, AgentPrompt], tokenizer: Any, questions: Sequence[str]
) -> list[dict[Agent, PromptTokens]]:
    from flowdpo_pl.play.prompts import PromptBook

    book = PromptBook(prompts, tokenizer, (tokenizer.eos_token_id,))
    lengths = []
    for question in islice(questions, _LOOKED_AT):
        contexts = {agent: book.context(agent, Problem("", question, ""), ()) for agent in prompts}
        lengths.append({a: PromptTokens(len(c.prefix), len(c.suffix)) for a, c in contexts.items()})
    return lengths


def _guessed(prompt: AgentPrompt, question: int) -> PromptTokens:
    text = f"{prompt.system or ''}{prompt.user}"
    before, partial, after = text.partition("{partial}")
    sides = [len(side.replace("{question}", "")) // _CHARACTERS for side in (before, after)]
    asked = [question if "{question}" in side else 0 for side in (before, after)]
    end = _TEMPLATE // 3 if partial else 0
    return PromptTokens(sides[0] + asked[0] + _TEMPLATE - end, sides[1] + asked[1] + end)


def _mean(lengths: Sequence[Mapping[Agent, PromptTokens]]) -> dict[Agent, PromptTokens]:
    count = len(lengths)
    return {
        agent: PromptTokens(
            round(sum(one[agent].before for one in lengths) / count),
            round(sum(one[agent].after for one in lengths) / count),
        )
        for agent in lengths[0]
    }


def _most(lengths: Sequence[Mapping[Agent, PromptTokens]]) -> dict[Agent, PromptTokens]:
    return {
        agent: PromptTokens(
            max(one[agent].before for one in lengths), max(one[agent].after for one in lengths)
        )
        for agent in lengths[0]
    }
