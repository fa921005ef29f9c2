"""Where problems come from, and how a row of there becomes a `Problem`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from flowdpo_pl.data.given_rows import GivenRows, RowsPlace
from flowdpo_pl.data.gold import Automatic, GoldExtractor
from flowdpo_pl.data.grouping import Grouping, OneRewritePerSeed
from flowdpo_pl.data.indexed_rows import Row, Rows
from flowdpo_pl.data.kept_columns import kept_value
from flowdpo_pl.data.questions import content_id, question_key
from flowdpo_pl.data.rows import names_a_file, open_rows
from flowdpo_pl.errors import LIMIT, UserError, require_within
from flowdpo_pl.types import Problem
from flowdpo_pl.verify.readable import check_gold

_SHORT = 80  # characters; more are a solution
NO_ANSWER = "no answer"
UNREADABLE_GOLD = "unreadable gold answer"
_ABOUT_GOLD = (NO_ANSWER, "no gold answer", UNREADABLE_GOLD, "answer ")
"""How the reasons begin that leave a row without a gold answer."""
_MOST_DIGITS = 400
_EXACT = 2**53
"""From here on not every whole number is a float."""


@dataclass(frozen=True)
class ProblemSource:
    """A hub data set or a local file of problems, and the names of its fields.

    Args:
        path: hub id, a local .jsonl, .json (either as .gz too) or .parquet file, or a folder of such shards.
            In Python also the rows themselves: a list of dicts, or a `datasets.Dataset`.
        name: configuration of the hub data set, such as `main` for openai/gsm8k.
        split: split of the hub data set (a file has none), or of a folder with files of several splits.
        question_field: column with the question.
        answer_field: column with the gold answer, or with a solution that holds it.
        id_field: column with a unique id; without it the id is a hash of the question.
        seed_question_field: column with the question that a row rewrites (MetaMath: original_question).
        label_fields: columns that accuracies are broken down by (MATH: type, level).
        keep: further columns that a problem carries on, for a verifier of one's own (`problem["column"]`).
        gold: how the gold answer is found in the answer, such as flowdpo_pl.HashMarked (default: Automatic).
        grouping: what becomes of rewrites of one seed question, such as flowdpo_pl.KeepTogether
            (without it: OneRewritePerSeed).
        part: share of the source, as two bounds within 0 and 1: `[0, 0.8]` and `[0.8, 1]` have no problem and
            no seed question in common, whatever the order and the limit. A hash of the seed question (without
            one: of the question) decides, so the number of problems is near the share, not equal to it.
            Questions that are the same but for spaces, case and the like stand together; to see them, the
            source is read through once first.
        limit: at most this many problems, counted after shuffling and skipping.
    """

    path: RowsPlace
    name: str | None = None
    split: str = "train"
    question_field: str = "question"
    answer_field: str = "answer"
    id_field: str | None = None
    seed_question_field: str | None = None
    label_fields: list[str] | None = None
    keep: list[str] | None = None
    gold: GoldExtractor | None = None
    grouping: Grouping | None = None
    part: tuple[float, float] | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        place = str(self.path) if isinstance(self.path, Path) else self.path
        if not isinstance(place, str | GivenRows):
            place = GivenRows(place)
        object.__setattr__(self, "path", place)
        if self.part is not None and not 0 <= self.part[0] < self.part[1] <= 1:
            raise UserError(
                f"part is {list(self.part)}: give two ascending bounds within 0 and 1 ({self.path})."
            )
        require_within(LIMIT, {"limit": self.limit})

    @property
    def is_local(self) -> bool:
        """Whether its rows are no hub's: it names a file, or they were given in Python."""
        return isinstance(self.path, GivenRows) or names_a_file(str(self.path))

    @property
    def is_here(self) -> bool:
        """Whether it is local, and its file is there."""
        if isinstance(self.path, GivenRows):
            return True
        return self.is_local and Path(str(self.path)).expanduser().exists()

    def open(self) -> Rows:
        """Its rows.

        Raises:
            UserError: see `open_rows`.
        """
        if isinstance(self.path, GivenRows):
            return self.path
        return open_rows(str(self.path), self.name, self.split)

    def fields(self) -> list[tuple[str, str]]:
        """The columns that are read, each after the argument that names it."""
        named = [
            ("question_field", self.question_field),
            ("answer_field", self.answer_field),
            ("id_field", self.id_field),
            ("seed_question_field", self.seed_question_field),
            *(("label_fields", column) for column in self.label_fields or ()),
            *(("keep", column) for column in self.keep or ()),
        ]
        return [(argument, column) for argument, column in named if column is not None]

    def identity(self) -> dict[str, Any]:
        """What the problems of given rows depend on, plain values by argument."""
        return {
            "question_field": self.question_field,
            "answer_field": self.answer_field,
            "id_field": self.id_field,
            "seed_question_field": self.seed_question_field,
            "label_fields": list(self.label_fields or []),
            "keep": list(self.keep or []),
            "gold": str(self.extractor()),
            "grouping": type(self.grouped_by()).__name__,
            "part": None if self.part is None else list(self.part),
        }

    def extractor(self) -> GoldExtractor:
        return self.gold or Automatic()

    def grouped_by(self) -> Grouping:
        return self.grouping or OneRewritePerSeed()

    def holds(self, problem: Problem, places: Mapping[str, float] = MappingProxyType({})) -> bool:
        """Whether the problem is in this source's part.

        Args:
            problem: of this source.
            places: where the questions stand that the source writes in several forms (`places_of`).
        """
        if self.part is None:
            return True
        question = problem.seed_question or problem.question
        place = places.get(question_key(question))
        return self.part[0] <= (_place(question) if place is None else place) < self.part[1]


if not TYPE_CHECKING:  # what a config can say
    ProblemsPlace: TypeAlias = ProblemSource
else:
    ProblemsPlace: TypeAlias = ProblemSource | RowsPlace


def source_of(key: str, given: ProblemsPlace | None) -> ProblemSource | None:
    """What was given in place of a source as one; None stays None.

    Raises:
        UserError: names the key; it is nothing that problems can be read from.
    """
    if given is None or isinstance(given, ProblemSource):
        return given
    try:
        return ProblemSource(given)
    except UserError as error:
        raise UserError(f"{key}: {error}") from error


def places_of(problems: Iterable[Problem]) -> dict[str, float]:
    """Where questions stand that come in several forms: all at the first of these forms' places.

    A question that is always written alike keeps its own place and is left out.
    """
    first: dict[str, float] = {}
    several: dict[str, float] = {}
    for problem in problems:
        question = problem.seed_question or problem.question
        key, place = question_key(question), _place(question)
        if first.setdefault(key, place) != place:
            several[key] = first[key] = min(first[key], place)
    return several


def _place(question: str) -> float:
    """Between 0 and 1, below 1."""
    return (int(content_id(question), 16) >> 11) / 2**53


def read_problem(row: Row, source: ProblemSource) -> Problem | str:
    """The row's problem, or in a few words why it has none."""
    question = row.values.get(source.question_field)
    if _is_blank(question):
        return "no question"
    if not isinstance(question, str):
        return f"question is not text but {type(question).__name__}"

    answer = row.values.get(source.answer_field)
    if _is_blank(answer):
        return NO_ANSWER
    if isinstance(answer, list) and source.extractor().takes_lists:
        answer = _several(answer)
    if isinstance(answer, bool) or not isinstance(answer, str | int | float | Decimal):
        return f"answer is neither text nor a number but {type(answer).__name__}"
    answer = written(answer)
    if answer is None:
        return "answer is a number whose digits are lost or too many: write it as text"
    gold = source.extractor()(answer)
    if gold is None:
        return UNREADABLE_GOLD if _is_unreadable(answer) else "no gold answer found in the answer"

    question = question.strip()
    id_ = row.values.get(source.id_field) if source.id_field else content_id(question)
    if _is_blank(id_):
        return "no id"
    seed = row.values.get(source.seed_question_field) if source.seed_question_field else None
    seed = "" if _is_blank(seed) else _shown(seed or "").strip()
    labels = tuple(
        (column, _shown(value).strip())
        for column in source.label_fields or ()
        if not _is_blank(value := row.values.get(column))
    )
    texts = {"question": question, "answer": answer, "id": _shown(id_), "seed question": seed, **dict(labels)}
    try:
        kept = tuple((column, kept_value(row.values.get(column))) for column in source.keep or ())
    except TypeError as error:
        return f"a kept column holds {error}"
    texts |= {column: json.dumps(value, ensure_ascii=False) for column, value in kept}
    if damage := _damage(texts):
        return damage
    return Problem(texts["id"], question, gold, seed, labels, kept)


def _several(answers: list[object]) -> object:
    """The JSON text of several gold answers; the list itself where it is none of texts and numbers."""
    known = all(isinstance(one, str | int | float | Decimal) and not isinstance(one, bool) for one in answers)
    golds = [written(one) for one in answers if not _is_blank(one)] if known else []  # type: ignore[arg-type]
    return json.dumps(golds, ensure_ascii=False) if golds and None not in golds else answers


def _is_unreadable(answer: str) -> bool:
    """Whether the whole field is a short text that no prediction could be compared with (`see the sheet`)."""
    if "\n" in answer.strip() or len(answer) > _SHORT:
        return False
    try:
        check_gold(answer)
    except UserError:
        return True
    return False


def about_gold(reason: str) -> bool:
    """Whether a row was left out for its gold answer: there is none, or none that can be read."""
    return reason.startswith(_ABOUT_GOLD)


def questions_of(problem: Problem) -> set[str]:
    """What a problem tells the answer of, itself and the question it rewrites, as `question_key`s."""
    return {question_key(question) for question in (problem.question, problem.seed_question) if question}


def written(answer: str | float | Decimal) -> str | None:
    """The answer as text, a number with all its digits and without an exponent; None where they are lost.

    A float stands for the shortest decimal that it is the nearest float to. From 2**53 on it has lost the
    digits of a whole number; a `Decimal` (from JSON, or a column of decimals) has them.
    """
    if isinstance(answer, str | int):
        return str(answer)
    if isinstance(answer, float) and abs(answer) >= _EXACT:
        return None
    exact = Decimal(repr(answer)) if isinstance(answer, float) else answer
    if abs(exact.adjusted()) > _MOST_DIGITS:
        return None
    short = repr(float(exact))
    return short if "e" not in short and Decimal(short) == exact else f"{exact:f}"


def _shown(value: object) -> str:
    """A value of an id, a seed or a label as text."""
    text = written(value) if isinstance(value, float | Decimal) else None
    return str(value) if text is None else text


def _damage(texts: Mapping[str, str]) -> str | None:
    """What makes a text of a row useless to tokenizers and files; None if nothing does."""
    for name, text in texts.items():
        if "\0" in text:
            return f"{name} holds a NUL character"
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            return f"{name} holds half a character (a lone surrogate)"
    return None


def _is_blank(value: object) -> bool:
    """Whether a cell holds nothing: null, no text, or the NaN or infinity of a number that isn't there."""
    if isinstance(value, Decimal):
        return not value.is_finite()
    if isinstance(value, float):
        return not math.isfinite(value)
    return value is None or (isinstance(value, str) and not value.strip())
