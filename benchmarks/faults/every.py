"""Every operation on a file that a command does, broken one at a time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from benchmarks.faults.shim import Fault, Operation, operations
from benchmarks.faults.trial import Bench, Trial, tried
from benchmarks.faults.verbs import Verb
from benchmarks.faults.warm import operations_of


def every_operation(
    verb: Verb, faults: Sequence[Fault], every: int, first: int, workers: int, work: Path
) -> dict[str, Any]:
    """Try each fault at each operation, or at every so manieth, from the first-th on.

    Args:
        verb: what runs.
        faults: which are tried.
        every: 1: all operations.
        first: where the sample begins, from 0.
        workers: trials at a time.
        work: folder for all of it; what went wrong stays there.
    """
    benches = [Bench(verb) for _ in range(workers)]
    whole = benches[0].undisturbed(work / "whole")
    done = operations(operations_of(work / "whole"))
    points = [(fault, op) for fault in faults for op in done if op.takes(fault)][first::every]
    free: SimpleQueue[Bench] = SimpleQueue()
    for bench in benches:
        free.put(bench)

    def point(pair: tuple[Fault, Operation]) -> Trial:
        fault, op = pair
        bench = free.get()
        told = f"{op.number} {op.call} {Path(op.path).relative_to(work / 'whole')}"
        try:
            return tried(bench, work / f"{fault.name.lower()}_{op.number}", whole, fault, op.number, told)
        finally:
            free.put(bench)

    with ThreadPoolExecutor(workers) as pool:
        trials = list(shown(pool.map(point, points), len(points), verb.name))
    for bench in benches:
        bench.close()
    return {
        "operations": len(done),
        "calls": dict(Counter(op.call for op in done)),
        "tried": dict(Counter(fault.name for fault, _ in points)),
        "wrong": {trial.told: trial.wrong for trial in trials if trial.wrong},
        "said": dict(Counter(trial.said for trial in trials if trial.said)),
    }


def shown(trials: Iterable[Trial], of: int, name: str) -> Iterator[Trial]:
    """The trials, with a bar on a terminal and what is wrong as it comes."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr, soft_wrap=True, markup=False)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=of)
        for trial in trials:
            bar.advance(task)
            if trial.wrong:
                console.print(f"{name}: {trial.told}: {'; '.join(trial.wrong)}", highlight=False)
            yield trial
