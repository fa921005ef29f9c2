"""The nearest of the words or files that would have been right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, or has the same letters; None if none is."""
    names = {name.lower(): name for name in known}
    meant = word.lower()
    if found := get_close_matches(meant, names, n=1, cutoff=0.6):
        return names[found[0]]
    return next((name for lower, name in names.items() if sorted(lower) == sorted(meant)), None)


def near_path(path: str | Path, may_be: Callable[[Path], bool] = Path.exists) -> Path | None:
    """What is in the folder of a path that is not there, under a name most like its; None if nothing is."""
    place = Path(path).expanduser()
    try:
        beside = [other.name for other in place.parent.iterdir() if may_be(other)]
    except OSError:
        return None
    close = nearest(place.name, (name for name in beside if not name.startswith(".")))
    return None if close is None else place.parent / close
