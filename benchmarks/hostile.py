"""Hostile answers through everything that reads, judges, logs or shows what a model wrote.

    python -m benchmarks.hostile [--answers 30010] [--seed 0] [--timeout 2] [--folder FOLDER] [--parts shown]

Draws the answers of `tests.hostile_answers` and prints a JSON line a part: `read` (extraction), `judged_by_1`
and `judged_by_4` worker processes, `judged_again` by one that is restarted (with its memory), then
`logged` (terminal, CSV, TensorBoard, W&B, trees, pictures), `report`, `view` and `show` of a run that plays
them. These four are the part `shown`, those of the verifier `judged`. `findings` is what is not as it
should be; the last line counts those of all parts, which should be 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from benchmarks.hostile_play import PAGE, log, report_page, terminal_trees, tree_pages
from benchmarks.memory_slope import MemorySlope, children, resident_bytes_of
from flowdpo_pl.data.gold import Automatic
from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.answers import quick_verdict, read_answer
from flowdpo_pl.verify.math_verifier import MathVerifier
from flowdpo_pl.verify.readable import is_readable
from tests.hostile_answers import CANARY, HostileAnswer, hostile_answers

PARTS = ("read", "judged", "shown")
WORKER = "verify/worker.py"
STARTING = 20.0
"""Seconds that a worker's start may take on a busy machine, beside the limit."""
AGAIN = 8000
"""Answers that are judged again, at most."""

T = TypeVar("T")
Measured = dict[str, Any]


def progress(items: Iterable[T], words: str) -> Iterable[T]:
    return track(items, words, console=Console(stderr=True), transient=True)


def read(answers: Sequence[HostileAnswer]) -> tuple[Measured, list[str]]:
    """What is read in this process, where no limit of time ends it."""
    findings, slope, longest, automatic = [], MemorySlope(), 0.0, Automatic()
    for number, answer in enumerate(progress(answers, "read")):
        started = time.perf_counter()
        try:
            found = read_answer(answer.text)
            certain = quick_verdict(found, read_answer(answer.gold))
            longest = max(longest, time.perf_counter() - started)
            is_readable(found), automatic(answer.text)
        except Exception as error:
            findings.append(f"{error!r} of {short(answer)}")
            continue
        if None not in (certain, answer.right) and certain != answer.right:
            findings.append(f"{certain} of {short(answer)}")
        if number % 100 == 0:
            slope.add(number, resident_bytes_of(os.getpid()))
    return {"longest_seconds": round(longest, 2), "memory": slope.told()}, findings


def judge(
    answers: Sequence[HostileAnswer], timeout: float, workers: int
) -> tuple[list[Verdict], Measured, list[str]]:
    """The verdicts of all. One worker is asked for one at a time."""
    verdicts: list[Verdict] = []
    findings, longest, slope = [], 0.0, MemorySlope()
    at_once = 1 if workers == 1 else 64
    begun = time.perf_counter()
    with MathVerifier(workers, timeout) as verifier:
        for start in progress(range(0, len(answers), at_once), f"judge, {workers} workers"):
            started = time.perf_counter()
            verdicts += verifier([(one.text, one.gold) for one in answers[start : start + at_once]])
            longest = max(longest, time.perf_counter() - started)
            if start // at_once % 20 == 0:
                slope.add(len(verdicts), resident_bytes_of(os.getpid()))
        seconds, counts = time.perf_counter() - begun, verifier.counts
        after = verifier([(f"The sum is $1+{number}$", f"${number + 1}$") for number in range(8 * workers)])
        if not all(verdict.correct for verdict in after) or len(children(WORKER)) != workers:
            findings.append("a worker is lost")
    if left := children(WORKER):
        findings.append(f"{len(left)} workers outlive their pool")
    for answer, verdict in zip(answers, verdicts, strict=True):
        if answer.right is not None and verdict.correct != answer.right:
            findings.append(f"{verdict} is wrong of {short(answer)}")
    kinds = Counter(verdict.error.split(":")[0] for verdict in verdicts if verdict.error is not None)
    measured = {
        "known": sum(answer.right is not None for answer in answers),
        "right": sum(verdict.correct for verdict in verdicts),
        "without_a_worker": counts.fast,
        "errors": dict(kinds.most_common()),
        "seconds": round(seconds),
        "memory": slope.told(),
    }
    if workers == 1:
        measured |= {"limit_seconds": timeout, "longest_seconds": round(longest, 2)}
        if longest > timeout + STARTING:
            findings.append(f"an answer took {longest:.1f} s")
    return verdicts, measured, findings


def judge_again(
    answers: Sequence[HostileAnswer], before: Sequence[Verdict], timeout: float
) -> tuple[Measured, list[str]]:
    """Those that took a worker and did not end it, by one worker that is restarted half-way."""
    asked = [
        (answer, verdict)
        for answer, verdict in zip(answers, before, strict=True)
        if verdict.error != "timeout" and needs_a_worker(answer)
    ][:AGAIN]
    slopes, verdicts = [], []
    with MathVerifier(1, timeout) as verifier:
        for half in (asked[: len(asked) // 2], asked[len(asked) // 2 :]):
            slope = MemorySlope()
            for number, (answer, _) in enumerate(progress(half, "judge again")):
                verdicts.append(verifier(answer.text, answer.gold))
                if number % 50 == 0:
                    slope.add(number, sum(resident_bytes_of(pid) or 0 for pid in children(WORKER)))
            slopes.append(slope.told())
            verifier.close()
    findings = differences([one for one, _ in asked], [verdict for _, verdict in asked], verdicts)
    return {"asked": len(asked), "worker_memory": slopes}, findings


def needs_a_worker(answer: HostileAnswer) -> bool:
    return quick_verdict(read_answer(answer.text), read_answer(answer.gold)) is None


def differences(
    answers: Sequence[HostileAnswer], one: Sequence[Verdict], other: Sequence[Verdict]
) -> list[str]:
    return [
        f"{first} and {second} of {short(answer)}"
        for answer, first, second in zip(answers, one, other, strict=True)
        if first != second
    ]


def short(answer: HostileAnswer) -> str:
    text = answer.text if len(answer.text) < 200 else f"{answer.text[:80]} … {answer.text[-80:]}"
    return f"{answer.kind}, {text!r}, gold {answer.gold[:40]}"


def tell(part: str, measured: Measured, findings: Sequence[str]) -> list[str]:
    """Print what a part measured; its findings."""
    shown = [finding[:400] for finding in findings[:20]]
    print(json.dumps({"part": part, **measured, "findings": len(findings), "first": shown}), flush=True)
    return [f"{part}: {finding[:400]}" for finding in findings]


def run_parts(
    answers: list[HostileAnswer], timeout: float, folder: Path, parts: Sequence[str] = PARTS
) -> list[str]:
    """These parts; what they found."""
    kinds = Counter(answer.kind for answer in answers)
    size = round(sum(len(one.text) for one in answers) / 1e6, 1)
    print(json.dumps({"answers": len(answers), "million_characters": size, "kinds": kinds}), flush=True)
    found = tell("read", *read(answers)) if "read" in parts else []
    verdicts = [Verdict(answer.right is True) for answer in answers]
    if "judged" in parts:
        verdicts, told = _judged(answers, timeout)
        found += told
    if "shown" in parts:
        found += _shown(answers, verdicts, folder / "run")
    return found + [f"an injection made {file}" for file in folder.rglob(f"*{CANARY}*")]


def _judged(answers: list[HostileAnswer], timeout: float) -> tuple[list[Verdict], list[str]]:
    one, measured, findings = judge(answers, timeout, workers=1)
    found = tell("judged_by_1", measured, findings)
    four, measured, findings = judge(answers, timeout, workers=4)
    found += tell("judged_by_4", measured, findings + differences(answers, one, four))
    return one, found + tell("judged_again", *judge_again(answers, one, timeout))


def _shown(answers: list[HostileAnswer], verdicts: list[Verdict], run: Path) -> list[str]:
    count = len(answers)
    found = tell("logged", *log(answers, verdicts, run))
    found += tell("report", *report_page(run))
    found += tell("view", *tree_pages(run, progress(range(1, count + 1, PAGE), "view"), count))
    return found + tell("show", *terminal_trees(run, range(1, count + 1, max(1, count // 40))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--answers", type=int, default=30_010)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds that the verifier has for one")
    parser.add_argument("--folder", type=Path, help="where the run stays; otherwise it is removed")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        sys.path.insert(0, os.getcwd())  # where the tests are, from the other directory
        with chdir(folder):  # where an injection would make its file
            answers = list(hostile_answers(given.answers, given.seed))
            found = run_parts(answers, given.timeout, folder, given.parts)
    print(json.dumps({"findings": len(found), "first": found[:20]}))


if __name__ == "__main__":
    main()
