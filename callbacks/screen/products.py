"""What a verb says last: the files that one looks at next, and the commands that follow."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

PROGRAM = "python -m flowdpo_pl"
_TO_LOOK_AT = ("trees.jsonl", "predictions.jsonl")
"""What `view` makes a page of."""


def print_products(folder: Path, names: Iterable[str], following: Sequence[str] = ()) -> None:
    """Prints the paths of those that exist, a line each, then the commands; whole lines, however long.

    Args:
        folder: The run folder.
        names: Files and folders in it.
        following: Words of each command after `python -m flowdpo_pl`, as a shell takes them.
    """
    for name in names:
        if (folder / name).exists():
            print(folder / name)
    if any((folder / name).exists() for name in _TO_LOOK_AT):
        print(f"look: {PROGRAM} view {quoted(folder)}", flush=True)
    for word, command in zip(("next", *("or" for _ in following)), following, strict=False):
        print(f"{word}: {PROGRAM} {command}", flush=True)


def after_fit(folder: Path, stopped_by: BaseException | None) -> tuple[str, ...]:
    """The commands that follow a `fit`: to use what it made, or to go on with it.

    None where it has not left what they take.
    """
    config, checkpoint = folder / "config.yaml", folder / "checkpoints" / "last.ckpt"
    if not (config.exists() and checkpoint.exists()):
        return ()
    if stopped_by is not None:
        return (f"fit --config {quoted(config)} --ckpt_path {quoted(checkpoint)}",)
    run = quoted(folder)
    return (
        f"test --run {run} --data.test.path=PROBLEMS.jsonl",
        f"ask {run}",
        f"export {run} --output {quoted(Path('models', folder.resolve().name))}",
    )


def quoted(path: Path | str) -> str:
    """A path as a word of a command line."""
    return shlex.quote(str(path))
