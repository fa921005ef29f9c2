"""Which problems of a run stand on one page: those asked for, thinned evenly to what it holds, and said."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from flowdpo_pl.errors import COUNT, POSITIVE, UserError, require_within
from flowdpo_pl.view.problems import Problems

T = TypeVar("T")
_UNSAFE = re.compile("[<\u2028\u2029\ud800-\udfff]")
"""What may end a script's element or a line of one, and half characters, which UTF-8 does not have."""


@dataclass(frozen=True)
class Selection:
    """What of a run is wanted, and how much of it fits."""

    problems: str | None = None
    """Numbers, such as `1-200` or `1-50,900-`; null: all."""
    limit: int = 2000
    """Problems a page, at most."""
    megabytes: float = 10.0
    """Of JSON a page, at most; one problem is always shown."""

    def __post_init__(self) -> None:
        require_within(COUNT, {"limit": self.limit})
        require_within(POSITIVE, {"megabytes": self.megabytes})


@dataclass(frozen=True)
class Selected:
    """Problems of one page."""

    rows: tuple[str, ...]
    """JSON of each, fit to stand in a script's element."""
    of: int
    """Problems that the run has."""
    told: str
    """Which ones these are, in a sentence."""


def selected(problems: Problems, selection: Selection) -> Selected:
    """Read what the selection takes of these problems.

    Raises:
        UserError: `selection.problems` names none of them, or is no list of numbers.
    """
    wanted = numbers_of(selection.problems, problems.count)
    numbers = evenly(wanted, selection.limit)
    rows = [safe_json(one.data) for one in problems.read(frozenset(numbers))]
    fitting = _fitting(rows, int(selection.megabytes * 1e6))
    told = f"{len(fitting):,} of {problems.count:,} problems"
    if len(fitting) < len(wanted):
        why = (
            f"a page holds {selection.limit:,} (--limit)"
            if len(fitting) == len(numbers)
            else f"a page holds {selection.megabytes:g} MB (--megabytes)"
        )
        told += f", evenly over {'those asked for' if selection.problems else 'the run'}: {why}; "
        told += "--problems=1-100 takes others"
    return Selected(tuple(fitting), problems.count, told)


def numbers_of(text: str | None, count: int) -> Sequence[int]:
    """The numbers, ascending, that a text such as `1-200`, `7` or `1-50,900-` names among 1 to `count`.

    Raises:
        UserError: it is no such text, or names none of them.
    """
    if text is None:
        return range(1, count + 1)
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d*)\s*(-?)\s*(\d*)\s*", part, re.ASCII)
        if match is None or not (match[1] or match[3]) or (match[3] and not match[2]):
            raise UserError(f"problems is '{text}': give numbers and ranges, such as 1-200 or 1-50,900-.")
        first = int(match[1] or 1)
        last = first if not match[2] else int(match[3] or count)
        found.update(range(max(first, 1), min(last, count) + 1))
    if not found:
        raise UserError(f"problems is '{text}', but the run has {_range(count)}: give numbers among them.")
    return sorted(found)


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, at even distances, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[0]]
    return [items[place * (len(items) - 1) // (most - 1)] for place in range(most)]


def safe_json(data: object) -> str:
    """JSON in which no text can end the script's element that it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda one: f"\\u{ord(one[0]):04x}", text)


def _fitting(rows: list[str], most: int) -> list[str]:
    """As many as fit into so many bytes, evenly, but one at least."""
    kept = rows
    while len(kept) > 1 and (size := sum(len(row.encode()) for row in kept)) > most:
        kept = evenly(rows, max(1, min(len(kept) - 1, int(len(kept) * most / size))))
    return kept


def _range(count: int) -> str:
    return f"1 to {count:,}" if count else "none yet"
