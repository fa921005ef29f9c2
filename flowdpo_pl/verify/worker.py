"""The program of a worker process: math-verify behind a pipe, one JSON question, one JSON reply.

`function_worker` serves in the same way. This one is run as a script and imports the standard library and
math-verify only, so that a killed worker is replaced in a third of a second. math-verify's own timeout stays
off: it works in main threads only, is a BaseException, and an answer that it stopped counts as wrong.
"""

from __future__ import annotations

import json
import logging
import re
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from multiprocessing.connection import Connection
from typing import Any

READY = b"ready"
"""A worker's first message, after its imports."""
WORDS = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|textnormal|textit|boldsymbol|mathbf)\s*\{[^{}]*\}")
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
MORE = re.compile(
    r"\\(?!circ|degree|deg\b|pi\b|p?mod|bmod|q?quad|right|left|approx|[dtc]?frac|%|\$)[A-Za-z]+|\(\s*\d"
)
CLOCK = 10.0
"""Seconds on the clock for each of the processor's: a busy machine must change no verdict."""
GRACE_SECONDS = 1.0
"""A worker outlives its parent's patience by this much at most, even if the parent is gone."""
REMEMBERED = 256
"""Questions whose replies a worker keeps, for samples of a problem often end alike; few, as some are long."""


def parse_readings(readings: Sequence[str], ambiguous: bool = False) -> list[Any]:
    """What math-verify makes of the first reading that is mathematics (of all, if `ambiguous`).

    Returns sympy expressions, each text last in the list; only a text if sympy can't parse it; empty if
    there is nothing to parse. Raises whatever sympy raises.
    """
    from math_verify import parse

    found: list[Any] = []
    for reading in readings:
        parsed = parse(reading, parsing_timeout=None, raise_on_error=True)
        if any(is_cut_off(reading, item) for item in parsed):
            return [item for item in parsed if isinstance(item, str)]
        mathematics = any(not isinstance(item, str) for item in parsed)
        if mathematics and not ambiguous:
            return list(parsed)
        found = found + parsed if ambiguous else found or parsed
    return found


def is_cut_off(formula: str, parsed: Any) -> bool:
    r"""Whether `parsed` is a number and `formula` more than that: the parser stops at what it doesn't know.

    So read, `4\cbrt(2)` would equal 4.
    """
    if not getattr(parsed, "is_Number", False) or not (formula[0] == formula[-1] == "$"):
        return False
    formula = WORDS.sub("", formula)
    first = NUMBER.search(formula)
    if first is None or abs(parsed) > 10**15 or float(first[0].replace(",", "")) != float(abs(parsed)):
        return False
    return MORE.search(formula[first.end() :]) is not None


def judge(question: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to one question: `correct`, `extracted` and `error` as in `Verdict`."""
    from math_verify import verify

    gold = parse_readings(question["gold"], question["gold_ambiguous"])
    answer = parse_readings(question["answer"], question["answer_ambiguous"])
    extracted = next((item for item in answer if isinstance(item, str)), None)
    if not gold:
        return {"correct": False, "extracted": extracted, "error": "the gold answer is unreadable"}
    error = None
    for pair in product(gold, answer):
        try:
            if verify(*pair, timeout_seconds=None, raise_on_error=True):
                return {"correct": True, "extracted": extracted, "error": None}
        except Exception as failure:  # sympy raises of every kind; another reading may still agree
            error = describe(failure)
    return {"correct": False, "extracted": extracted, "error": error}


def remembering(ask: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """`ask`, which sees none of the last `REMEMBERED` questions again unless it raised or told an error."""
    kept: dict[str, dict[str, Any]] = {}

    def reply_to(question: Any) -> dict[str, Any]:
        text = json.dumps(question)
        if text in kept:
            return kept[text]
        reply = ask(question)
        if reply["error"] is None:  # else there may have been too little memory, which passes
            if len(kept) == REMEMBERED:
                del kept[next(iter(kept))]
            kept[text] = reply
        return reply

    return reply_to


def describe(failure: BaseException) -> str:
    """The exception in one short line."""
    return f"{type(failure).__name__}: {failure}".rstrip(": ").replace("\n", " ")[:200]


def limit_memory(gigabytes: float) -> None:
    """Bounds this process's address space: past it, Python raises MemoryError."""
    limit = int(gigabytes * 2**30)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def serve(
    pipe: Connection, clock: float, judge: Callable[[Any], dict[str, Any]], processor: float = 0.0
) -> None:
    """Answers questions until the other end of the pipe is closed.

    Args:
        pipe: to the parent.
        clock: seconds after which the parent ends this process.
        judge: gives a verdict's fields.
        processor: seconds of the processor's time that one answer may take; 0: any.
    """
    pipe.send_bytes(READY)
    while True:
        try:
            question = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        # The default action of these alarms ends the process: a stuck worker whose parent died goes too.
        signal.setitimer(signal.ITIMER_REAL, clock + GRACE_SECONDS)
        signal.setitimer(signal.ITIMER_PROF, processor)
        try:
            reply = judge(question)
        except Exception as failure:  # reported as the verdict's error and counted, never taken for "wrong"
            reply = {"correct": False, "extracted": None, "error": describe(failure)}
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        pipe.send_bytes(json.dumps(reply).encode())


def main(file_descriptor: str, seconds: str, memory_gb: str) -> None:
    """Serve with math-verify."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    logging.disable()
    limit_memory(float(memory_gb))
    import math_verify  # noqa: F401  (before READY: its cost is no answer's time)
    from sympy.core.random import seed

    def afresh(question: Mapping[str, Any]) -> dict[str, Any]:
        seed(0)  # sympy tries points drawn by chance: no verdict may hang on what was asked before
        return judge(question)

    processor = float(seconds)
    serve(Connection(int(file_descriptor)), CLOCK * processor, remembering(afresh), processor)


if __name__ == "__main__":
    main(*sys.argv[1:])
