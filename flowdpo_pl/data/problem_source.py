"""Where problems come from, and how a row of there becomes a `Problem`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flowdpo_pl.data.gold import Automatic, GoldExtractor
from flowdpo_pl.data.grouping import Grouping, OneRewritePerSeed
from flowdpo_pl.data.rows import Row
from flowdpo_pl.errors import UserError, require_at_least
from flowdpo_pl.types import Problem


@dataclass(frozen=True)
class ProblemSource:
    """A hub data set or a local file of problems, and the names of its fields.

    Args:
        path: hub id, or a local .jsonl, .jsonl.gz, .json or .parquet file.
        name: configuration of the hub data set, such as `main` for openai/gsm8k.
        split: split of the hub data set (a file has none).
        question_field: column with the question.
        answer_field: column with the gold answer, or with a solution that holds it.
        id_field: column with a unique id; without it the id is a hash of the question.
        seed_question_field: column with the question that a row rewrites (MetaMath: original_question).
        label_fields: columns that accuracies are broken down by (MATH: type, level).
        gold: how the gold answer is found in the answer, such as flowdpo_pl.HashMarked (default: Automatic).
        grouping: what becomes of rewrites of one seed question, such as flowdpo_pl.KeepTogether
            (without it: OneRewritePerSeed).
        part: share of the source, as two bounds within 0 and 1: `[0, 0.8]` and `[0.8, 1]` have no problem and
            no seed question in common, whatever the order and the limit. A hash of the seed question (without
            one: of the question) decides, so the number of problems is near the share, not equal to it.
        limit: at most this many problems, counted after shuffling and skipping.
    """

    path: str
    name: str | None = None
    split: str = "train"
    question_field: str = "question"
    answer_field: str = "answer"
    id_field: str | None = None
    seed_question_field: str | None = None
    label_fields: list[str] | None = None
    gold: GoldExtractor | None = None
    grouping: Grouping | None = None
    part: tuple[float, float] | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.part is not None and not 0 <= self.part[0] < self.part[1] <= 1:
            raise UserError(
                f"part of {self.path} is {list(self.part)}: give two ascending bounds within 0 and 1"
            )
        require_at_least(1, {f"limit of {self.path}": self.limit})

    def fields(self) -> list[tuple[str, str]]:
        """The columns that are read, each after the argument that names it."""
        named = [
            ("question_field", self.question_field),
            ("answer_field", self.answer_field),
            ("id_field", self.id_field),
            ("seed_question_field", self.seed_question_field),
            *(("label_fields", column) for column in self.label_fields or ()),
        ]
        return [(argument, column) for argument, column in named if column is not None]

    def extractor(self) -> GoldExtractor:
        return self.gold or Automatic()

    def grouped_by(self) -> Grouping:
        return self.grouping or OneRewritePerSeed()

    def holds(self, problem: Problem) -> bool:
        """Whether the problem is in this source's part."""
        if self.part is None:
            return True
        place = (int(content_id(problem.seed_question or problem.question), 16) >> 11) / 2**53  # below 1
        return self.part[0] <= place < self.part[1]


def read_problem(row: Row, source: ProblemSource) -> Problem | str:
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
    labels = tuple(
        (column, str(value).strip())
        for column in source.label_fields or ()
        if not _is_blank(value := row.values.get(column))
    )
    return Problem(
        id=str(id_), question=question, gold=gold, seed_question=str(seed or "").strip(), labels=labels
    )


def questions_of(problem: Problem) -> set[str]:
    """The questions that a problem tells the answer of: its own and the one it rewrites, as `content_id`s."""
    return {content_id(question) for question in (problem.question, problem.seed_question) if question}


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def content_id(question: str) -> str:
    """An id that depends on the question alone: 16 hexadecimal digits."""
    return hashlib.blake2b(question.encode(), digest_size=8).hexdigest()
