"""Where prompts come from, and how a row of there becomes a `Problem`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flowdpo_pl.errors import UserError
from flowdpo_pl.gold import Automatic, GoldExtractor
from flowdpo_pl.grouping import Grouping, OneRewritePerSeed
from flowdpo_pl.rows import Row
from flowdpo_pl.types import Problem


@dataclass(frozen=True)
class PromptSource:
    """A hub data set or a local file of problems, and the names of its fields.

    Args:
        path: hub id, or a local .jsonl, .jsonl.gz, .json or .parquet file.
        name: configuration of the hub data set, such as `main` for openai/gsm8k.
        split: split of the hub data set (a file has none).
        question_field: column with the question.
        answer_field: column with the gold answer, or with a solution that holds it.
        id_field: column with a unique id; without it the id is a hash of the question.
        seed_question_field: column with the question that a row rewrites (MetaMath: original_question).
        gold: how the gold answer is found in the answer, a class of flowdpo_pl.gold (without it: Automatic).
        grouping: what becomes of rewrites of one seed question, a class of flowdpo_pl.grouping
            (without it: OneRewritePerSeed).
        limit: at most this many problems, counted after shuffling and skipping.
    """

    path: str
    name: str | None = None
    split: str = "train"
    question_field: str = "question"
    answer_field: str = "answer"
    id_field: str | None = None
    seed_question_field: str | None = None
    gold: GoldExtractor | None = None
    grouping: Grouping | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit of {self.path} is {self.limit}: give at least 1 problem, or leave it out")

    def fields(self) -> dict[str, str]:
        """The columns that are read, by the argument that names them."""
        named = {
            "question_field": self.question_field,
            "answer_field": self.answer_field,
            "id_field": self.id_field,
            "seed_question_field": self.seed_question_field,
        }
        return {argument: column for argument, column in named.items() if column is not None}

    def extractor(self) -> GoldExtractor:
        return self.gold or Automatic()

    def grouped_by(self) -> Grouping:
        return self.grouping or OneRewritePerSeed()


def read_problem(row: Row, source: PromptSource) -> Problem | str:
    """The row's problem, or in a few words why it has none."""
    question = row.values.get(source.question_field)
    if _is_blank(question):
        return "no question"
    if not isinstance(question, str):
        return f"question is not text but {type(question).__name__}"

    answer = row.values.get(source.answer_field)
    if _is_blank(answer):
        return "no answer"
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        return f"answer is neither text nor a number but {type(answer).__name__}"
    gold = source.extractor()(str(answer))
    if gold is None:
        return "no gold answer found in the answer"

    question = question.strip()
    id_ = row.values.get(source.id_field) if source.id_field else content_id(question)
    if _is_blank(id_):
        return "no id"
    seed = row.values.get(source.seed_question_field) if source.seed_question_field else None
    return Problem(id=str(id_), question=question, gold=gold, seed_question=str(seed or "").strip())


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def content_id(question: str) -> str:
    """An id that depends on the question alone: 16 hexadecimal digits."""
    return hashlib.blake2b(question.encode(), digest_size=8).hexdigest()
