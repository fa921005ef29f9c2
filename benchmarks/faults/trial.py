"""One fault: a command that meets it, the command that goes on, and whether the result is the right one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.same import broken, contents, differences
from benchmarks.faults.shim import Fault
from benchmarks.faults.verbs import Verb
from benchmarks.faults.warm import Ended, Ready, Started, beside

ERRORS = (Fault.NO_SPACE, Fault.NO_PERMISSION)
_SENTENCE = re.compile(r"^flowdpo_pl: .*(/|\.)", re.MULTILINE)


@dataclass
class Trial:
    """What came of one fault."""

    told: str
    """Which fault, in words."""
    wrong: list[str] = field(default_factory=list)
    said: str = ""
    """The sentence of a command that could not write."""


class Bench:
    """One verb, ready to be started, to go on, and to be compared."""

    def __init__(self, verb: Verb) -> None:
        self.verb = verb
        self._ready = {words: Ready(words) for words in verb.commands}

    def begin(self, folder: Path, fault: Fault = Fault.NONE, at: int = 0) -> Started:
        """In a new folder."""
        self.verb.prepare(folder)
        return self.start(folder, fault, at)

    def start(self, folder: Path, fault: Fault = Fault.NONE, at: int = 0) -> Started:
        return self._ready[self.verb.commands[0]].start(folder, fault, at)

    def go_on(self, folder: Path) -> Ended:
        """By the documented command for what is there."""
        words = self.verb.again(folder)
        return Ended(0, 0, 0.0, "") if words is None else self._ready[words].run(folder)

    def undisturbed(self, folder: Path) -> dict[str, Any]:
        """What the verb makes of a folder, if nothing happens.

        Raises:
            RuntimeError: it fails.
        """
        if (ended := self.begin(folder).ended()).status:
            raise RuntimeError(f"{self.verb.name} fails by itself: {ended.output[-2000:]}")
        return contents(folder)

    def close(self) -> None:
        for ready in self._ready.values():
            ready.close()


def finished_wrong(bench: Bench, folder: Path, whole: Mapping[str, Any]) -> list[str]:
    """Go on in a folder where a command has ended too soon; what is wrong with the result."""
    again = bench.go_on(folder)
    wrong = [] if again.status == 0 else [f"going on ends with {again.status}: {last_words(again.output)}"]
    wrong += _left(again)
    if not wrong:
        wrong += differences(whole, contents(folder))
    left = [path.name for path in beside(folder, "tmp").iterdir()]
    return wrong + [f"temporary file {name} is left" for name in left]


def after(bench: Bench, folder: Path, whole: Mapping[str, Any], ended: Ended) -> list[str]:
    """What is wrong with the result of a command that has ended somehow, once it has gone on."""
    return finished_wrong(bench, folder, whole) if ended.status else differences(whole, contents(folder))


def tried(bench: Bench, folder: Path, whole: Mapping[str, Any], fault: Fault, at: int, told: str) -> Trial:
    """Meet a fault at one operation."""
    trial = Trial(f"{fault.name} at {told}")
    ended = bench.begin(folder, fault, at).ended()
    if fault in ERRORS:
        _judge_words(trial, ended)
    elif fault == Fault.CLOCK:
        trial.wrong += [f"it ends with {ended.status}"] if ended.status else []
    elif ended.status != -9:
        trial.wrong.append(f"it was not reached (status {ended.status})")
    return judged(trial, bench, folder, whole, ended)


def judged(trial: Trial, bench: Bench, folder: Path, whole: Mapping[str, Any], ended: Ended) -> Trial:
    """The trial with what a command has left behind, and how it went on; a good folder is removed."""
    trial.wrong += _left(ended)
    trial.wrong += [f"not whole: {name}" for name in broken(folder)]
    trial.wrong += after(bench, folder, whole, ended)
    if not trial.wrong:
        forget(folder)
    return trial


def _left(ended: Ended) -> list[str]:
    return [f"{ended.orphans} processes are left"] if ended.orphans else []


def forget(folder: Path) -> None:
    """Remove a folder and what was kept of its commands."""
    for place in (folder, *folder.parent.glob(f"{folder.name}.*")):
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()


def _judge_words(trial: Trial, ended: Ended) -> None:
    trial.said = last_words(ended.output)
    if ended.status < 0:
        trial.wrong.append(f"ended by signal {-ended.status}")
    elif ended.status and ("Traceback" in ended.output or not _SENTENCE.search(ended.output)):
        trial.wrong.append(f"no clear sentence: {trial.said}")


def last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
