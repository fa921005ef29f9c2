"""Worked solutions made from equations: `(8 + 2) * 3` as "8 + 2 = 10. 10 * 3 = 30. The answer is 30."

Equations are data of strangers: they are read token by token, never evaluated by Python. Arithmetic is
exact; only what is written is rounded, and the exact value goes on into the next operation.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fractions import Fraction

_TOKENS = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<sign>[-+*/()])|(?P<other>\S))")
_APPLY: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_BINDS = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2}


class NoSolutionError(ValueError):
    """Why a row gives no worked solution, in a few words."""


def render_equation(equation: str, gold: str, decimals: int = 4) -> str:
    """One sentence for each operation, in the order in which they are done, and the answer.

    Args:
        equation: numbers, `+ - * /`, parentheses; a minus in front of a number is its sign.
        gold: the right answer, a plain number; the last sentence prints it as it stands.
        decimals: places after the point that results are rounded to where they are written.

    Raises:
        NoSolutionError: the equation can't be read, divides by zero, or gives another number than `gold`.
    """
    sentences, result = _worked(equation, decimals)
    try:
        answer = Fraction(gold)
    except (ValueError, ZeroDivisionError):
        raise NoSolutionError(f"the gold answer {gold!r} is no number") from None
    if round(result, decimals) != round(answer, decimals):
        raise NoSolutionError(
            f"the equation gives {written(result, decimals)}, but the gold answer is {gold}"
        )
    return " ".join([*sentences, f"The answer is {gold}."])


def written(number: Fraction, decimals: int = 4) -> str:
    """The number as data sets print it: rounded, without trailing zeros."""
    scaled = round(number * 10**decimals)
    whole, places = divmod(abs(scaled), 10**decimals)
    text = f"{whole}.{places:0{decimals}}".rstrip("0").rstrip(".") if places else str(whole)
    return f"-{text}" if scaled < 0 else text


def _worked(equation: str, decimals: int) -> tuple[list[str], Fraction]:
    """The operations as sentences, and the exact value (Dijkstra's two stacks: no recursion)."""
    sentences: list[str] = []
    values: list[Fraction] = []
    signs: list[str] = []

    def apply_while_binding(at_least: int) -> None:
        while signs and _BINDS[signs[-1]] >= at_least:
            sign, right, left = signs.pop(), values.pop(), values.pop()
            if sign == "/" and right == 0:
                raise NoSolutionError(f"{equation!r} divides by zero")
            values.append(_APPLY[sign](left, right))
            sum_ = f"{written(left, decimals)} {sign} {written(right, decimals)}"
            sentences.append(f"{sum_} = {written(values[-1], decimals)}.")

    unreadable = NoSolutionError(f"{equation!r} is no sum of numbers, + - * / and parentheses")
    expects_value, negative = True, False
    for token in _TOKENS.finditer(equation):
        number, sign = token["number"], token["sign"]
        if expects_value and number:
            values.append(Fraction(number) * (-1 if negative else 1))
            expects_value, negative = False, False
        elif expects_value and sign == "-" and not negative:
            negative = True
        elif expects_value and sign == "(" and not negative:
            signs.append("(")
        elif not expects_value and sign == ")":
            apply_while_binding(1)
            if not signs:
                raise unreadable
            signs.pop()
        elif not expects_value and sign in _APPLY:
            apply_while_binding(_BINDS[sign])
            signs.append(sign)
            expects_value = True
        else:
            raise unreadable
    if expects_value:
        raise unreadable
    apply_while_binding(1)
    if signs:
        raise unreadable
    return sentences, values.pop()
