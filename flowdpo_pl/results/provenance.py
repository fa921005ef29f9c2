"""How things were made: what a run must share with the checkpoint or the file that it takes up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowdpo_pl.errors import UserError

MEND_FILE = "set it as it was, give the run another folder, or begin anew by --overwrite"
"""What to do about a file of an earlier run."""
MEND_CHECKPOINT = "set it as it was, or start a new run"
"""What to do about a checkpoint."""
_TOLD = {"path", "revision", "trust_remote_code", "compare_weights"}
"""Where something was found and how it was read: told, not compared, since what it is has a digest."""


def require_same(what: str, then: Mapping[str, Any], now: Mapping[str, Any], mend: str) -> None:
    """Refuse what was made otherwise.

    Args:
        what: such as "the checkpoint", or a file's path.
        then: how it was made.
        now: how this run makes it; what `then` holds beyond that is not compared.
        mend: what the user can do.

    Raises:
        UserError: names every value that differs, then and now.
    """
    if differences := list(_differences(then, now)):
        raise UserError(f"{what} was made otherwise: {', '.join(differences)}; {mend}.")


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], place: str = "") -> Iterator[str]:
    for name, value in now.items():
        if name in _TOLD:
            continue
        was = then.get(name)
        if isinstance(was, Mapping) and isinstance(value, Mapping) and was.keys() == value.keys():
            yield from _differences(was, value, f"{place}{name}.")
        elif was != value:
            yield f"{place}{name} was {was} and is {value}"
