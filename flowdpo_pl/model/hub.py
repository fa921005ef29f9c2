"""Whether the hub has what a config names: one question and no retries, before libraries ask with many."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from flowdpo_pl.errors import UserError
from flowdpo_pl.suggestions import near_path

SECONDS = 5.0
"""What the hub may take to answer. Downloads that are under way have the libraries' own times and retries."""
_NAMES = {"model": "model", "dataset": "data set"}


def require_on_hub(key: str, name: str, kind: Literal["model", "dataset"], revision: str = "main") -> bool:
    """Ask the hub once for a repository; where it can't be reached, a copy on this machine will do.

    Args:
        key: of the config, for messages.
        name: hub id.
        kind: of repository.
        revision: of a model.

    Returns:
        Whether the hub has answered; False where only a copy can serve.

    Raises:
        UserError: there is no such repository, it is not open to this user, or the hub can't be reached and
            there is no copy.
    """
    from huggingface_hub import HfApi, errors

    failed: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # of the client in use
    try:
        HfApi().repo_info(name, repo_type=kind, timeout=SECONDS)
    except (errors.HFValidationError, failed, OSError) as error:
        answered = isinstance(error, errors.HFValidationError | errors.HfHubHTTPError)
        if not answered and _is_copied(name, kind, revision):
            return False
        why = f"the hub gives no such {_NAMES[kind]}" if answered else "the hub can't be reached"
        there = f"{key} {name!r} is no file or folder here"
        raise UserError(f"{there}, and {why} ({_first_line(error)}): {what_was_meant(name)}") from error
    return True


def _is_copied(name: str, kind: str, revision: str) -> bool:
    """Whether an earlier download may serve."""
    if kind == "model":
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str)
    from datasets import config

    return Path(config.HF_DATASETS_CACHE, name.replace("/", "___")).is_dir()


def what_was_meant(path: str) -> str:
    """Of a path that isn't there."""
    near = near_path(path)
    return f"did you mean {near}?" if near else "correct it, or name a folder on this machine"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
