"""What a user can cause and mend: the one exception, bounds of settings, the parser's reports."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class UserError(ValueError):
    """Bad input: one sentence that names the file, key or value and says what to do.

    The command line prints it without a traceback.
    """


class Interrupted(SystemExit):
    """A run that was asked to end (Ctrl-C, SIGTERM) ends with 128 and the signal's number, as in a shell."""

    def __init__(self, signal: int) -> None:
        super().__init__(128 + signal)


@dataclass(frozen=True)
class Range:
    """The finite numbers between two bounds, which belong to it unless they are open."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    or_null: bool = False
    """A setting left out has a meaning of its own, such as no bound."""

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and math.isfinite(value)  # NaN is neither above nor below

    def __str__(self) -> str:
        low = f"{'more than' if self.open_low else 'at least'} {self.low:.10g}"
        high = f"{'less than' if self.open_high else 'at most'} {self.high:.10g}"
        null = ", or null" if self.or_null else ""
        return (low if self.high == math.inf else f"{low} and {high}") + null


COUNT = Range(1)
SEVERAL = Range(2)
GROUP = Range(4)
LIMIT = Range(1, or_null=True)
NOT_NEGATIVE = Range(0)
POSITIVE = Range(0, open_low=True)
SHARE = Range(0, 1)
SHARE_OR_NULL = Range(0, 1, or_null=True)
MARGIN = Range(0, 1, open_high=True)
DROPOUT = Range(0, 1, open_high=True)
SEED = Range(0, 2**32 - 1)
"""Of Lightning's `seed_everything`, which is NumPy's."""


def require_within(allowed: Range, settings: Mapping[str, float | None]) -> None:
    """Refuse the first of these settings, by key, that is not in `allowed`; None is a setting left out.

    Raises:
        UserError: names the setting, its value and the range.
    """
    for name, value in settings.items():
        if value is not None and value not in allowed:
            raise UserError(f"{name} is {value}: give {allowed}.")


def some_of(names: Sequence[str], shown: int = 10) -> str:
    """The first names and how many follow: "a, b and 3 more"."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


_NOISE = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Expected a path"
)


_KINDS = {
    "str": "text (quote what YAML reads as something else: 'Yes' is true, '\"Yes\"' is text)",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list, such as [a, b]",
    "collections.abc.Sequence": "a list, such as [a, b]",
    "tuple": "a list, such as [a, b]",
    "dict": "keys with values, such as {a: b}",
}
"""What Python's types are called in configs."""


_CONFIG = "--config configs/quickstart.yaml"


def _in_words(complaint: str) -> str:
    """The complaint with what was expected in a user's words."""
    return re.sub(
        r"Expected an? <class '([\w.]+)'>", lambda kind: f"expected {_KINDS.get(kind[1], kind[1])}", complaint
    )


def one_sentence(report: str) -> str:
    """The first concrete complaint of a jsonargparse report, after the keys and class that lead to it."""
    keys: list[str] = []
    owner = ""
    for line in report.splitlines():
        text = line.strip().removeprefix("- ")
        if not text or _NOISE.match(text):
            continue
        if key := re.match(r'Parser key "(.+?)":', text):
            keys.append(key[1])
        elif problem := re.match(r"Problem with given class_path '(.+?)':", text):
            owner = problem[1]
        else:
            place = f"{'.'.join(keys)}: " if keys else ""
            of = f" ({owner})" if owner else ""
            if text.startswith("the following arguments are required"):
                return f"{place}{text.rstrip('.')}; give a config that has them, such as {_CONFIG}."
            return f"{place}{_in_words(text.rstrip('.'))}{of}; see the verb's --help for what it takes."
    return report.splitlines()[0] if report else "the arguments can't be parsed; see --help."
