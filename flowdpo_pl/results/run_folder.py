"""A run's folder: one process at a time writes there, and no run replaces another's files unasked.

`run.json` marks a folder as a run's, says what made it, and is what the process holds a lock on (`flock`,
which the system gives back however the process ends).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.results.atomic_writes import remove, written
from flowdpo_pl.results.foreign_json import read_json

MARK = "run.json"
PRODUCTS = (
    *("config.yaml", "hparams.yaml", "summary.json", "metrics.csv", "events.out.tfevents.*", "wandb"),
    *("accuracy_curve.csv", "accuracy_curve.png", "trees.jsonl", "trees.parquet", "samples"),
    *("view.html", "report.html"),
    *("checkpoints", "adapters", "adapter"),
    *("predictions.jsonl", "predictions.unfinished.jsonl", "traces.jsonl", "traces.parquet", ".*.partial"),
)
"""What a run writes into its folder. Nothing else there is ever removed."""
VERBS_BELOW = ("validate", "test", "predict")
"""Folders below a run of `fit` that hold what these verbs made of it."""

Overwrite: TypeAlias = bool | Literal["same"]
"""Whether a run may replace the one that is in its folder: never, any, or one of the same settings."""


@dataclass(frozen=True)
class Ways:
    """What a user of a run's folder can do, in the words of the command line or of Python."""

    another: str
    """Give the run another folder."""
    go_on: str
    """Go on with the run that is there."""
    replace: str


COMMAND_LINE = Ways("--trainer.logger.init_args.name=NAME", "--ckpt_path=last", "--overwrite")


@dataclass(frozen=True)
class Mark:
    """What `run.json` says."""

    verb: str
    settings: str
    """A digest of all arguments; empty: unknown."""
    started: str
    """In local time."""
    directory: str = ""
    """Where it was started: relative paths of its config begin there. Empty: of an earlier version."""


class RunFolder:
    """The folder that one verb is about to write to.

    Args:
        path: the folder; it need not exist.
        verb: `fit`, `validate`, `test` or `predict`.
        ways: what a message tells the user to do.
    """

    def __init__(self, path: Path, verb: str, ways: Ways = COMMAND_LINE) -> None:
        self.path = path
        self._ways = ways
        self._verb = verb
        self._replaced: list[Path] = []
        self._settings = ""
        self._lock: int | None = None
        self._begun = False

    @contextmanager
    def claimed(self, settings: str, *, resumed: bool, overwrite: Overwrite) -> Iterator[str]:
        """Own the folder for the block; yields what will be replaced, in words ("" if nothing is).

        Nothing is removed or written before `begin`, but for an empty mark, which goes if the block ends
        before that.

        Args:
            settings: a digest of all arguments of this run.
            resumed: the run goes on from a checkpoint of this folder.
            overwrite: whether an earlier run may be replaced.

        Raises:
            UserError: the folder can't be written, another process writes there, it holds another run's
                results, or files that no run has written.
        """
        new = [place for place in (self.path, *self.path.parents) if not place.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path / MARK)
        except BlockingIOError:
            raise UserError(
                f"another process is writing to {self.path}: wait for it, or give this run another folder "
                f"({self._ways.another})."
            ) from None
        except OSError as error:
            raise UserError(
                f"{self.path} can't be written ({error.strerror or error}): {self._another_folder()}."
            ) from error
        self._settings = settings
        marked = os.fstat(self._lock).st_size > 0
        try:
            yield "" if resumed else self._to_replace(overwrite)
        finally:
            if not marked and not self._begun:
                with suppress(OSError):  # what went wrong before was said already
                    (self.path / MARK).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
            if not marked and not self._begun:
                _remove_empty(new)

    def begin(self) -> None:
        """Remove what is replaced and mark the folder; after that it is this run's. Again: nothing."""
        if self._begun or self._lock is None:
            return
        for place in self._replaced:
            remove(place)
        mark = Mark(self._verb, self._settings, time.strftime("%Y-%m-%d %H:%M:%S"), os.getcwd())
        text = (json.dumps(asdict(mark), indent=2) + "\n").encode()
        with written(self.path / MARK):
            os.pwrite(self._lock, text, 0)  # in place: the lock is on this file
            os.truncate(self._lock, len(text))
            os.fsync(self._lock)
        self._begun = True

    def _to_replace(self, overwrite: Overwrite) -> str:
        """Which files go, remembered for `begin`; in words."""
        found = self._products()
        mark = read_mark(self.path)
        if mark is None and found:
            raise UserError(
                f"{self.path} holds {some_of([place.name for place in found], 3)}, which no run has written "
                f"there: {self._another_folder()}."
            )
        known = mark.settings if mark is not None else ""
        same = overwrite == "same" and known != "" and known == self._settings
        if self._has_results() and not (overwrite is True or same):
            others = " of other settings" if overwrite == "same" else ""
            raise UserError(f"{self.path} holds a run{others} already ({self._told()}): {self._choices()}.")
        if self._verb in _GOES_ON and not (overwrite is True or same):
            return ""
        self._replaced = found
        if not (self._has_results() or found):
            return ""
        if self._verb == "fit" and self._has_results():
            below = [self.path / verb for verb in VERBS_BELOW]
            self._replaced += [folder for folder in below if read_mark(folder) is not None]
            for folder in below:
                if read_mark(folder) is not None:
                    _require_unlocked(folder)
        return f"{self.path}: the earlier run ({self._told()}) is replaced"

    def _products(self) -> list[Path]:
        return sorted({place for pattern in PRODUCTS for place in self.path.glob(pattern)})

    def _has_results(self) -> bool:
        """Whether something is there that took long to make and that no restart goes on from by itself."""
        if self._verb == "validate":
            return _summary(self.path).get("ended") == "finished"
        if self._verb == "test" and (self.path / _UNFINISHED).exists():
            return False  # it goes last, behind the summary
        return any(self.path.glob(_RESULTS.get(self._verb, "checkpoints/*.ckpt")))

    def _told(self) -> str:
        """The earlier run in a few words."""
        summary, mark = _summary(self.path), read_mark(self.path)
        problems = summary.get("problems_seen", summary.get("problems"))
        facts = [
            f"{problems:,} problems" if isinstance(problems, int) else "",
            str(summary.get("ended", "not finished")),
            f"started {mark.started}" if mark is not None and mark.started else "",
        ]
        return ", ".join(filter(None, facts))

    def _choices(self) -> str:
        resume = f"go on with it by {self._ways.go_on}, " if self._verb == "fit" else ""
        return f"{resume}{self._another_folder()}, or replace it by {self._ways.replace}"

    def _another_folder(self) -> str:
        return f"give this run another folder ({self._ways.another})"


_RESULTS = {"fit": "checkpoints/*.ckpt", "test": "predictions.jsonl"}
"""By verb, the files that a run does not replace unasked."""
_UNFINISHED = "predictions.unfinished.jsonl"
_GOES_ON = ("test", "predict")
"""Verbs that, started again, go on from what an interrupted run has left."""


def read_mark(folder: Path) -> Mark | None:
    """What `run.json` says; without values if it was cut off or can't be read; None if there is none."""
    file = folder / MARK
    try:
        if not file.is_file() or file.stat().st_size == 0:
            return None
    except OSError:
        return None
    try:
        values = read_json(file, "the mark of a run")
        verb, settings, started = (str(values[name]) for name in ("verb", "settings", "started"))
        return Mark(verb, settings, started, str(values.get("directory", "")))
    except (UserError, TypeError, KeyError):
        return Mark("", "", "")


def _summary(folder: Path) -> dict[str, Any]:
    try:
        values = read_json(folder / "summary.json", "the summary of a run")
    except UserError:
        return {}
    return values if isinstance(values, dict) else {}


def _locked(file: Path) -> int:
    """An open, locked descriptor of the file, which is made if it isn't there.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: it can't be opened, or is no plain file.
    """
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, f"its {file.name} is no plain file")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return descriptor
        except FileNotFoundError:
            pass  # removed by the process that held it until now
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _require_unlocked(folder: Path) -> None:
    try:
        os.close(_locked(folder / MARK))
    except BlockingIOError:
        raise UserError(f"another process is writing to {folder}: wait for it.") from None
    except OSError as error:
        raise UserError(
            f"{folder / MARK} can't be written ({error.strerror or error}): remove it."
        ) from error


def _remove_empty(folders: Iterable[Path]) -> None:
    """Those of the folders, inner ones first, that hold nothing."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


@runtime_checkable
class WritesToFolder(Protocol):
    """A logger with a folder of its own, as Lightning's CSVLogger and TensorBoardLogger have."""

    @property
    def log_dir(self) -> str | None: ...


def run_folder_of(loggers: Iterable[object], otherwise: str) -> Path:
    """The folder of the first logger that has one, or else `otherwise`."""
    folders = (logger.log_dir for logger in loggers if isinstance(logger, WritesToFolder))
    return Path(next(filter(None, folders), otherwise))
