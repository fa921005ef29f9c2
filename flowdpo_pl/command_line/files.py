"""The local files that a run begins with are there: looked at before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flowdpo_pl.command_line.places import Place
from flowdpo_pl.command_line.verbs import Verb
from flowdpo_pl.data.rows import require_exists
from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import require_model_folder
from flowdpo_pl.modules.sources_read import OWN_SOURCE


def require_files(verb: Verb, root: Place) -> None:
    """Refuse a base or a source of problems that means a local file or folder which is not there.

    A path with a placeholder is left alone.

    Raises:
        UserError: names the key and the path.
    """
    for key, require in _needed(verb):
        place = root.at(key.split("."))
        path = place.given if place is not None else None
        if isinstance(path, str) and "{" not in path:
            try:
                require(path)
            except UserError as error:
                raise UserError(f"{key}: {error}") from error


def _needed(verb: Verb) -> Iterator[tuple[str, Callable[[str], object]]]:
    yield "model.team.base.path", require_model_folder
    yield f"data.{OWN_SOURCE[verb.of_trainer]}.path", require_exists
