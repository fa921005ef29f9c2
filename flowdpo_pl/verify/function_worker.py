"""The program of a worker process that judges by a function of the user's, as `worker` does by math-verify.

It gets the function's dotted name and imports it; a question is a prediction and a problem as JSON. Nothing
is unpickled, and nothing of a prediction is ever run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from flowdpo_pl.types import Problem
from flowdpo_pl.verify.named_function import NamedFunction, load_function
from flowdpo_pl.verify.worker import limit_memory, serve


def question_of(prediction: str, problem: Problem) -> dict[str, Any]:
    """What the worker is asked."""
    return {"prediction": prediction, "problem": asdict(problem)}


def reply(function: NamedFunction, question: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict's fields."""
    told = question["problem"]
    pairs = {name: tuple((key, value) for key, value in told[name]) for name in ("labels", "kept")}
    return asdict(function(question["prediction"], Problem(**{**told, **pairs})))


def main(name: str, arguments: str, file_descriptor: str, seconds: str, memory_gb: str) -> None:
    """Serve with a function; `arguments`: those that it gets by name, as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # each takes address space
        os.environ.setdefault(threads, "1")
    limit_memory(float(memory_gb))
    function = load_function(name, json.loads(arguments))
    serve(Connection(int(file_descriptor)), float(seconds), partial(reply, function))


if __name__ == "__main__":
    main(*sys.argv[1:])
