"""Every operation on a file that a command does, broken one at a time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.faults.shim import Fault, Operation, operations
from benchmarks.faults.trial import Bench, Trial, tried
from benchmarks.faults.verbs import Verb
from benchmarks.faults.warm import beside


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
    bench = Bench(verb)
    whole = bench.undisturbed(work / "whole")
    done = operations(beside(work / "whole", "operations"))
    points = [(fault, op) for fault in faults for op in done if op.takes(fault)][first::every]

    def point(pair: tuple[Fault, Operation]) -> Trial:
        fault, op = pair
        told = f"{op.number} {op.call} {Path(op.path).relative_to(work / 'whole')}"
        return tried(bench, work / f"{fault.name.lower()}_{op.number}", whole, fault, op.number, told)

    with ThreadPoolExecutor(workers) as pool:
        trials = list(shown(pool.map(point, points), len(points), verb.name))
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
