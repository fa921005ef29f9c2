"""What a function of the user's returned, as a verdict: in a worker and in this process alike."""

from __future__ import annotations

import reprlib
from numbers import Real

from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.answers import read_answer

_TRUTHS = {("builtins", "bool"), ("numpy", "bool"), ("numpy", "bool_")}
"""Modules and names of the types of true and false; NumPy's, of its comparisons, is no `bool`."""
_SHOWN = 80  # characters of a value


def as_verdict(returned: object, function: str, prediction: str) -> Verdict:
    """The verdict that a function's value stands for.

    True and false are right and wrong, a number in [0, 1] is a score (1 is right), and a `Verdict` is itself.
    Anything else is an error that names the function and what it returned. What was read is, but in a
    `Verdict`, the marked answer of the prediction, else all of it.

    Args:
        returned: the function's value.
        function: its name, for the error.
        prediction: what it judged.
    """
    if isinstance(returned, Verdict):
        return returned if _is_sound(returned) else _wrong_value(function, returned)
    extracted = read_answer(prediction).text or None
    if (type(returned).__module__, type(returned).__name__) in _TRUTHS:
        return Verdict(bool(returned), extracted)
    if isinstance(returned, Real) and 0 <= (score := float(returned)) <= 1:
        return Verdict(score == 1, extracted, score=score)
    return _wrong_value(function, returned)


def _is_sound(verdict: Verdict) -> bool:
    """Whether its fields are of their types: a class says nothing of what it is built from."""
    texts = all(text is None or isinstance(text, str) for text in (verdict.extracted, verdict.error))
    return texts and isinstance(verdict.correct, bool) and isinstance(verdict.score, int | float)


def _wrong_value(function: str, returned: object) -> Verdict:
    what = reprlib.repr(returned)[:_SHOWN]
    told = f"{function} returned {what}, and not true, false, a number from 0 to 1 or a Verdict"
    return Verdict(False, error=told)
