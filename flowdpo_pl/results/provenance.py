"""How answers were made: the values that a run of `test` or `predict` must share with one that it resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError


def require_same_provenance(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse a file that was made in another way, saying what differs."""
    for name in now:
        if then.get(name) != now[name]:
            raise UserError(
                f"{path} was made with another {name}: it has {then.get(name)}, this run has {now[name]}; "
                "set it as it was, give the run another folder, or remove the file."
            )
