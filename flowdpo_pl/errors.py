"""What a user can cause and mend: the one exception, bounds of settings, the parser's reports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


class UserError(ValueError):
    """Bad input: one sentence that names the file, key or value and says what to do.

    The command line prints it without a traceback.
    """


def require_at_least(least: float, settings: Mapping[str, float | None]) -> None:
    """Refuse the first of these settings, by key, that is below `least`; None is a setting left out.

    Raises:
        UserError: names the setting, its value and the bound.
    """
    for name, value in settings.items():
        if value is not None and not value >= least:  # NaN is refused too
            raise UserError(f"{name} is {value}: give at least {least:g}.")


def some_of(names: Sequence[str], shown: int = 10) -> str:
    """The first names and how many follow: "a, b and 3 more"."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


_NOISE = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Expected a path"
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
            return f"{place}{text.rstrip('.')}{of}; see the verb's --help for what it takes."
    return report.splitlines()[0] if report else "the arguments can't be parsed; see --help."
