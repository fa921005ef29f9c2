"""A source of problems as one deterministic stream of batches.

rows, a chunk at a time -> problems that may be played -> groups that share a batch -> batches.
The order is a function of the source's content and the seed, so that a stream is resumed by
reading it again up to the cursor (rows are cheap beside rollouts). A chunk (160 problems) is the
unit of reading, shuffling and reporting, and has nothing to do with the 160 tokens of an
answer's chunk. Batches run on over the borders of chunks: all but the last one are full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache

from flowdpo_pl.data.grouping import KeepTogether
from flowdpo_pl.data.indexed_rows import IndexedRows, Row
from flowdpo_pl.data.problem_source import (
    NO_ANSWER,
    UNREADABLE_GOLD,
    ProblemSource,
    about_gold,
    places_of,
    questions_of,
    read_problem,
)
from flowdpo_pl.data.questions import question_key
from flowdpo_pl.data.seen import Seen
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.types import Problem
from flowdpo_pl.verify.readable import is_readable_gold

DUPLICATE = "same question as an earlier row"
CONTRADICTION = "same question as an earlier row with another gold answer"
_GOLDS = 4096
"""Gold answers of which it is remembered whether they can be read."""


class ProblemStream:
    """The problems of one source in batches; every call of `batches` is a pass over all of them.

    Args:
        source: where the problems come from.
        key: the config key of the source, for messages (such as `data.train`).
        chunk_size: rows read, shuffled and reported at a time.
        batch_size: problems in a batch.
        seed: seed of the order, which is another one in each pass; None keeps the source's order.
        refuse: whether an unusable row is an error; otherwise it is skipped and counted.
        admit: says in a few fixed words why a problem cannot be played, None when it can.
        report: takes a line about rows read and skipped.
        held_out: questions that may not come, as `questions_of` gives them.
        readable: says whether a gold answer can be judged by (`Verifier.reads_gold`).

    Raises:
        UserError: the source cannot be opened, is empty or lacks a column; a local file has a held-out
            question, or, with `refuse`, an unusable row (those that only `admit` refuses show when reached).
    """

    def __init__(
        self,
        source: ProblemSource,
        *,
        key: str = "data.train",
        chunk_size: int = 160,
        batch_size: int = 32,
        seed: int | None = None,
        refuse: bool = False,
        admit: Callable[[Problem], str | None] = lambda problem: None,
        report: Callable[[str], None] = lambda line: None,
        held_out: AbstractSet[str] = frozenset(),
        readable: Callable[[str], bool] = is_readable_gold,
    ) -> None:
        self.source = source
        self.skipped: Counter[str] = Counter()
        """Rows left out since the beginning of the pass, by reason."""
        self.chunk_size = chunk_size
        self._key = key
        self._batch_size = batch_size
        self._seed = seed
        self._refuse = refuse
        self._admit = admit
        self._report = report
        self._told = ""
        self._held_out = held_out
        self._is_readable = lru_cache(_GOLDS)(readable)  # parsing may take milliseconds
        """Whether the verifier could compare an answer with a gold answer."""
        self._rows = source.open()
        self._rows_read = 0
        self._given = 0
        self._outside = 0  # rows of other parts in this pass
        self._dropped_before = 0  # rows without a problem, as far as is known before a pass
        self._check_columns()
        self._places: dict[str, float] = {}
        if source.part is not None:
            if not isinstance(self._rows, IndexedRows):
                report(f"{self._name} is read through once to find its part")
            self._places = places_of(self._readable_problems())
            if isinstance(self._rows, IndexedRows):
                self._dropped_before = sum(not self._holds(problem) for problem in self._readable_problems())
        if (refuse or held_out) and isinstance(self._rows, IndexedRows):
            self._check_rows()

    @property
    def problems_met(self) -> int:
        """Problems given and rows left out since the beginning of the pass."""
        return self._given + self.skipped.total()

    @property
    def unreadable_golds(self) -> int:
        """Of `problems_met`, those without a gold answer that can be read."""
        return sum(count for reason, count in self.skipped.items() if about_gold(reason))

    @property
    def content(self) -> str | None:
        """What a local source's rows are, wherever they lie; None of a hub data set."""
        digest = self._rows.content
        return None if digest is None else f"{self._rows.total} rows with digest {digest}"

    @property
    def total(self) -> int | None:
        """At most this many problems a pass, fewer as rows are left out; None if nobody knows."""
        rows = self._rows.total
        left = None if rows is None else rows - max(self._dropped, self._dropped_before)
        return min((count for count in (left, self.source.limit) if count is not None), default=None)

    @property
    def _dropped(self) -> int:
        return self.skipped.total() + self._outside

    def batches(self, number: int = 1) -> Iterator[list[Problem]]:
        """All problems from the beginning, `batch_size` at a time, no question twice.

        Args:
            number: of the pass, from 1.

        Raises:
            UserError: every row was skipped, a question is held out, or, with `refuse`, a row is unusable.
        """
        self.skipped.clear()
        self._rows_read = self._given = self._outside = 0
        problems = self._problems(None if self._seed is None else _seed_of_pass(self._seed, number))
        groups = self.source.grouped_by().groups(problems, self._batch_size, self.skipped)
        any_batch = False
        for batch in packed(up_to(groups, self.source.limit), self._batch_size):
            any_batch = True
            yield batch
        if not any_batch:
            raise UserError(f"{self._name} has no usable problem: {self._tally()}")
        self._dropped_before = self._dropped

    def questions(self) -> set[str]:
        """What the source's problems ask, limit or not, for another stream's `held_out`."""
        return {
            question
            for problem in self._readable_problems()
            if self._holds(problem)
            for question in questions_of(problem)
        }

    def _holds(self, problem: Problem) -> bool:
        return self.source.holds(problem, self._places)

    def _readable_problems(self) -> Iterator[Problem]:
        return (problem for _, problem in self._unshuffled() if isinstance(problem, Problem))

    def _unshuffled(self) -> Iterator[tuple[Row, Problem | str]]:
        """Every row in the source's order, with its problem or why it has none."""
        for chunk in self._rows.chunks(self.chunk_size, None):
            for row in chunk:
                yield row, read_problem(row, self.source)

    def _problems(self, seed: int | None) -> Iterator[Problem]:
        questions, ids = Seen(), Seen()
        for chunk in self._rows.chunks(self.chunk_size, seed):
            skipped_before = self.skipped.total()
            for row in chunk:
                self._rows_read += 1
                problem = read_problem(row, self.source)
                if isinstance(problem, str):
                    self._refuse_or_count(row, problem, self._answer_of(row, problem))
                elif not self._holds(problem):
                    self._outside += 1
                elif questions_of(problem) & self._held_out:
                    raise self._tested_on([problem.id])
                elif same := questions.told(question := question_key(problem.question), problem.gold):
                    self.skipped[DUPLICATE] += 1
                elif same is False:
                    self._refuse_or_count(row, CONTRADICTION, problem.gold)
                elif self.source.id_field and ids.told(problem.id) is not None:
                    self._refuse_or_count(row, "id of an earlier row")
                elif not self._is_readable(problem.gold):
                    self._refuse_or_count(row, UNREADABLE_GOLD, problem.gold)
                elif reason := self._admit(problem):
                    self._refuse_or_count(row, reason)
                else:
                    self._given += 1
                    questions.add(question, problem.gold)
                    if self.source.id_field:
                        ids.add(problem.id)
                    yield problem
            if self.skipped.total() > skipped_before and self._tally() != self._told:
                self._told = self._tally()  # a later pass says the same
                self._report(f"{self._name}: {self._told}")

    def _refuse_or_count(self, row: Row, reason: str, value: str | None = None) -> None:
        if self._refuse:
            shown = "" if value is None else f" {_short(value)}"
            raise UserError(
                f"{row.where}: {reason}{shown}; mend or remove the row, or set data.invalid to skip"
            )
        self.skipped[reason] += 1

    def _answer_of(self, row: Row, reason: str) -> str | None:
        """What stands where no answer is, such as `nan`; None if nothing does or the reason is another."""
        value = row.values.get(self.source.answer_field)
        return None if value is None or reason not in (NO_ANSWER, UNREADABLE_GOLD) else str(value)

    def _check_columns(self) -> None:
        first_chunk = next(self._rows.chunks(self.chunk_size, None), [])
        columns = {name for row in first_chunk for name in row.values}
        if not columns:
            raise UserError(f"{self._name} has no rows: give it some, or name another source")
        for argument, column in self.source.fields():
            if column not in columns:
                raise UserError(
                    f"{self.source.path} has no column {column!r}: "
                    f"set {self._key}.{argument} to one of {', '.join(sorted(columns))}"
                )
        if isinstance(self.source.grouping, KeepTogether) and self.source.seed_question_field is None:
            raise UserError(
                f"{self._key}.grouping is KeepTogether, but nothing says what belongs together: "
                f"set {self._key}.seed_question_field to one of {', '.join(sorted(columns))}"
            )

    def _check_rows(self) -> None:
        """Find unusable and held-out rows of a local file now, in its order, instead of hours later."""
        tested_on = []
        for row, problem in self._unshuffled():
            if isinstance(problem, str):
                self._refuse_or_count(row, problem, self._answer_of(row, problem))
            elif not self._holds(problem):
                continue
            elif self._refuse and not self._is_readable(problem.gold):
                self._refuse_or_count(row, UNREADABLE_GOLD, problem.gold)
            elif questions_of(problem) & self._held_out:
                tested_on.append(problem.id)
        self.skipped.clear()
        if tested_on:
            raise self._tested_on(tested_on)

    def _tested_on(self, ids: list[str]) -> UserError:
        return UserError(
            f"{self._name} has problems that data.test has too ({some_of(ids)}): "
            "remove them from one of the two, or divide a common source by `part`"
        )

    @property
    def _name(self) -> str:
        return f"{self._key} ({self.source.path})"

    def _tally(self) -> str:
        of_total = "" if self._rows.total is None else f" of {self._rows.total}"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.most_common())
        return f"{self._rows_read}{of_total} rows read, {self.skipped.total()} skipped ({reasons})"


def _seed_of_pass(seed: int, number: int) -> int:
    """The first pass has the seed itself."""
    return seed if number == 1 else Draws(seed).key("pass", number)


def _short(value: str) -> str:
    """A value as one can quote it in a sentence."""
    return repr(value if len(value) <= 80 else f"{value[:80]}…")


def up_to(groups: Iterable[list[Problem]], limit: int | None) -> Iterator[list[Problem]]:
    """The groups until they hold `limit` problems in all; the last one is cut."""
    for group in groups:
        yield group[:limit]
        if limit is not None and (limit := limit - len(group)) <= 0:
            return


def packed(groups: Iterable[list[Problem]], batch_size: int) -> Iterator[list[Problem]]:
    """Batches of at most `batch_size` problems that split no group.

    Groups have 1 to `batch_size` problems; groups of one give full batches but for the last.
    """
    batch: list[Problem] = []
    for group in groups:
        if len(batch) + len(group) > batch_size:
            yield batch
            batch = []
        batch = batch + group
    if batch:
        yield batch
