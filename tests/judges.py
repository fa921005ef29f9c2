"""Functions that judge, for tests: a config names them as `tests.judges.same`."""

from __future__ import annotations

import os
import time
from typing import Any
from zlib import crc32

from flowdpo_pl.types import Problem, Verdict

NOT_A_FUNCTION = 3


def same(prediction: str, gold: str) -> bool:
    return prediction == gold


def same_problem(prediction: str, problem: Problem) -> bool:
    return prediction == problem.gold


def annotated(text: str, asked: Problem) -> bool:
    return text == asked.gold


def long_enough(prediction: str) -> bool:
    return len(prediction) > 3


def shifted(prediction: str, gold: str, *, by: int = 0) -> bool:
    return float(prediction) == float(gold) + by


def any_of_column(prediction: str, problem: Problem) -> float:
    """Reads a kept column."""
    return problem["scores"].get(prediction, 0.0)  # type: ignore[no-any-return]


def coin(prediction: str, gold: str) -> bool:
    """A fixed toss for each text, as `tests.conftest.CoinJudge` has it."""
    return crc32(prediction.encode()) % 2 == 0


def coin_score(prediction: str, gold: str) -> float:
    """The same as a number."""
    return float(coin(prediction, gold))


def coin_verdict(prediction: str, gold: str) -> Verdict:
    """The same as a verdict."""
    return Verdict(coin(prediction, gold), prediction)


def graded(prediction: str, gold: str) -> float:
    """A fixed score of five for each text."""
    return crc32(prediction.encode()) % 5 / 4


def near(prediction: str, gold: str) -> float:
    """A fixed score for each text, of three that are half apart at most."""
    return crc32(prediction.encode()) % 3 / 4


def anything(prediction: str, gold: str) -> Any:
    """What the prediction says, one of a few: right, wrong, and what no verifier returns."""
    return VALUES[prediction]


VALUES: dict[str, Any] = {
    "true": True,
    "false": False,
    "one": 1,
    "zero": 0.0,
    "half": 0.5,
    "verdict": Verdict(True, "x", score=0.75),
    "error": Verdict(False, error="no unit"),
    "none": None,
    "text": "right",
    "too much": 1.5,
    "too little": -0.1,
    "nan": float("nan"),
    "list": [True],
    "odd verdict": Verdict("yes"),  # type: ignore[arg-type]
}


def raises(prediction: str, gold: str) -> bool:
    raise ValueError(f"no {prediction}")


def leaves(prediction: str, gold: str) -> bool:
    raise SystemExit(3)


def bad_score(prediction: str, gold: str) -> Verdict:
    return Verdict(True, score=2.0)


def endless(prediction: str, gold: str) -> bool:
    if prediction == "endless":
        time.sleep(600)
    return True


def greedy(prediction: str, gold: str) -> bool:
    if prediction == "greedy":
        bytearray(2**34)
    return True


def dies(prediction: str, gold: str) -> bool:
    if prediction == "dies":
        os._exit(7)
    return True


def process(prediction: str, gold: str) -> Verdict:
    """Where it runs."""
    return Verdict(True, str(os.getpid()))


def hashed(prediction: str, gold: str) -> float:
    """What Python makes of a text, another number in each process unless somebody sees to it."""
    return hash(prediction) % 1000 / 1000


def three(prediction: str, gold: str, extra: int) -> bool:
    return True


def nothing() -> bool:
    return True


def problem_first(problem: Problem, prediction: str) -> bool:
    return True


def setting_first(by: int, prediction: str, gold: str) -> bool:
    return True


class Judge:
    """No function."""
