"""How many answers could not be judged, and when that is too many to go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import RolloutTree

MOST_UNJUDGED = 0.05
"""Share of the first chunk's answers that may have no verdict."""
_FEWEST = 3  # answers without a verdict; one time-out among few problems stops no run


@dataclass(frozen=True, slots=True)
class Judgement:
    """One answer's problem, and why the answer could not be judged; None where it could."""

    problem_id: str
    gold: str
    error: str | None


def judgements(tree: RolloutTree) -> list[Judgement]:
    """Of all endings of a tree."""
    endings = (tree.main, *(fork.branch for fork in tree.forks))
    return [Judgement(tree.problem.id, tree.problem.gold, end.verdict.error) for end in endings]


def judging_counts(errors: Iterable[str | None]) -> dict[str, int]:
    """`judged_answers` in all, `judging_errors` among them (time-outs included), and `judging_timeouts`."""
    found = list(errors)
    return {
        "judged_answers": len(found),
        "judging_errors": sum(error is not None for error in found),
        "judging_timeouts": sum(error == "timeout" for error in found),
    }


def judging_rates(judged_answers: float, judging_errors: float, judging_timeouts: float) -> dict[str, float]:
    """The shares of answers without a verdict, and of those that took too long; nan without answers."""
    return {
        "judging_error_rate": judging_errors / judged_answers if judged_answers else float("nan"),
        "timeout_rate": judging_timeouts / judged_answers if judged_answers else float("nan"),
    }


class FirstChunk:
    """Watches the answers to the first problems that a run plays; those of all ranks are to be added."""

    def __init__(self) -> None:
        self._over = False
        self._problems: set[str] = set()
        self._answers = 0
        self._without: list[Judgement] = []

    def add(self, answers: Sequence[Judgement]) -> None:
        if not self._over:
            self._problems |= {answer.problem_id for answer in answers}
            self._answers += len(answers)
            self._without += [answer for answer in answers if answer.error is not None]

    def require_judged(self, problems: int, ended: bool = False) -> None:
        """Look at the chunk once it is whole; what comes later is only counted.

        Args:
            problems: in the chunk.
            ended: whether there are no more.

        Raises:
            UserError: more than 5 % of its answers have no verdict; shows three.
        """
        if self._over or (len(self._problems) < problems and not ended):
            return
        self._over = True
        if len(self._without) < _FEWEST or len(self._without) <= MOST_UNJUDGED * self._answers:
            return
        one_a_problem = {answer.problem_id: answer for answer in reversed(self._without)}
        shown = [*reversed(one_a_problem.values()), *self._without][:3]
        examples = "; ".join(f"{a.problem_id}: gold {_short(a.gold)}, {_short(str(a.error))}" for a in shown)
        raise UserError(
            f"{len(self._without)} of the first {self._answers} answers cannot be judged ({examples}): mend "
            "or remove such problems, or give the verifier more time or memory; what is done is kept, and "
            "the run can be resumed"
        )


def _short(text: str) -> str:
    """A text as one can quote it in a sentence."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
