"""Does anything grow with the run? Prompts streamed, trees logged and read back, a long `fit`.

    python -m benchmarks.load [--prompts 100000] [--trees 100000] [--problems 20000] [--only PART …]

Prints a JSON line a part, each of a process of its own: `jsonl`, `gz`, `parquet` and `hub` (a stream, as the
hub's are) go through that many prompts, `trees` logs that many with their table and reads them back, `fit`
trains a model of a few thousand parameters on that many problems, `test` measures it on as many. `memory` is
resident memory at the middle and at the end, and the slope between; `growth` is the end's over the middle's,
less 1.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.memory_slope import MemorySlope, resident_bytes_of

if TYPE_CHECKING:
    from flowdpo_pl import Team

ROOT = Path(__file__).parents[1]
Part = dict[str, Any]


def resident() -> int | None:
    return resident_bytes_of(os.getpid())


def told(slope: MemorySlope) -> Part:
    memory = slope.told()
    return (
        {"memory": memory, "growth": round(memory["end_mb"] / memory["middle_mb"] - 1, 4)} if memory else {}
    )


def questions(count: int) -> Iterator[dict[str, str]]:
    """Rows of 300 characters, all different."""
    for number in range(count):
        yield {"question": f"{number} apples. {'How many is that? ' * 15}", "answer": str(number % 977)}


def stream(kind: str, count: int, folder: Path) -> Part:
    """A pass over a source of this kind."""
    from flowdpo_pl.data import rows
    from flowdpo_pl.data.problem_source import ProblemSource
    from flowdpo_pl.data.problem_stream import ProblemStream

    path = str(_written(kind, count, folder))
    slope, problems, started = MemorySlope(), 0, time.process_time()
    with (
        patch.object(rows, "require_on_hub", lambda *_: None),
        patch("datasets.load_dataset", _load(path, kind)),
    ):
        source = ProblemStream(ProblemSource("hub/like" if kind == "hub" else path), seed=0)
        for number, batch in enumerate(source.batches()):
            problems += len(batch)
            if number % 32 == 0:
                slope.add(problems, resident())
    seconds = time.process_time() - started
    return {"prompts": problems, "processor_seconds": round(seconds, 1), **told(slope)}


def _load(path: str, kind: str) -> Callable[..., Any]:
    """What stands for the hub's loader: a stream of the same rows."""
    from datasets import load_dataset

    if kind != "hub":
        return load_dataset
    return lambda *_, **__: load_dataset("json", data_files=path, split="train", streaming=True)


def _written(kind: str, count: int, folder: Path) -> Path:
    if kind == "parquet":
        import pyarrow

        from flowdpo_pl.results.parquet_rows import write_parquet_rows

        schema = pyarrow.schema([(name, pyarrow.string()) for name in ("question", "answer")])
        write_parquet_rows(questions(count), schema, folder / "prompts.parquet")
        return folder / "prompts.parquet"
    file = folder / ("prompts.jsonl.gz" if kind == "gz" else "prompts.jsonl")
    with gzip.open(file, "wt") if kind == "gz" else file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in questions(count))
    return file


def trees(count: int, folder: Path) -> Part:
    """Logged by `TreeLog` with its table, then read back."""
    from torch.utils.data import DataLoader

    from callbacks import TreeLog
    from flowdpo_pl.results.run_trees import RunTrees
    from tests.callbacks.playing import Playing, Stream, trainer

    logging, reading = MemorySlope(), MemorySlope()

    class Many(Playing):
        def train_dataloader(self) -> DataLoader[int]:
            return DataLoader(Stream(0, self.max_problems), batch_size=200)

        def play(self, batch: Any) -> dict[str, float]:
            values = super().play(batch)
            logging.add(self.problems_seen, resident())
            return values

    started = time.process_time()
    trainer(folder, TreeLog(parquet=True)).fit(Many(count))
    written, read = time.process_time() - started, 0
    kept = RunTrees.at(folder)
    assert kept is not None
    for read, _ in enumerate(kept.read(), 1):
        if read % 200 == 0:
            reading.add(read, resident())
    return {
        "trees": read,
        "mb": round((folder / "trees.jsonl").stat().st_size / 1e6),
        "table_mb": round((folder / "trees.parquet").stat().st_size / 1e6),
        "processor_seconds": {"log": round(written), "read": round(time.process_time() - started - written)},
        "log": told(logging),
        "read": told(reading),
    }


def _team(folder: Path) -> Team:
    """Two agents on a model of some thousand parameters."""
    import torch

    from benchmarks.random_model import Shape, write_random_model
    from flowdpo_pl import AgentPrompt, AnswerStopFlow, BaseModel, Budget, Team

    tiny = Shape(hidden_size=16, layers=1, heads=2, kv_heads=1, head_size=8, intermediate_size=16)
    write_random_model(folder / "model", str(ROOT / "quickstart" / "model"), tiny, torch.device("cpu"))
    prompts = {
        "answer": AgentPrompt("{question}"),
        "stop": AgentPrompt("{question} Draft: {partial} Finished?", options=("Yes", "No")),
    }
    flow = AnswerStopFlow(chunk_tokens=4, max_chunks=2)
    base = BaseModel(str(folder / "model"), dtype="float32")
    return Team(base, prompts, flow, budget=Budget(cpu_threads=1))


def _rows(count: int) -> list[dict[str, str]]:
    return [{"question": f"{number}?", "answer": str(number % 10)} for number in range(count)]


def fit(count: int, folder: Path) -> Part:
    """Training with the quickstart's callbacks; a coin judges, so that there is always something to learn."""
    import callbacks
    from flowdpo_pl import FlowDPOModule, FunctionVerifier, Learning, PromptDataModule, Trainer

    warnings.filterwarnings("ignore")
    seen: list[tuple[int, float, int]] = []
    slope = MemorySlope()

    class Watch(callbacks.TreeLog):
        files = ("trees.jsonl",)

        def batch_played(self, module: Any, values: Any) -> None:
            super().batch_played(module, values)
            slope.add(module.problems_seen, resident())
            last = self.folder / "checkpoints" / "last.ckpt"
            size = last.stat().st_size if last.exists() else 0
            seen.append((module.problems_seen, time.process_time(), size))

    watching = [Watch(), callbacks.AdapterCheckpoint(), callbacks.AccuracyCurve(), callbacks.RunSummary()]
    watching += [callbacks.SampleFlows()]
    judge = FunctionVerifier("benchmarks.coin.coin", in_process=True)
    module = FlowDPOModule(_team(folder), Learning(lr=1e-3), verifier=judge, max_problems=count)
    with redirect_stdout(sys.stderr):
        Trainer(folder / "run", watching).fit(module, PromptDataModule(_rows(count)))
    parameters = sum(one.numel() for one in module.players.agents.parameters())
    return {"problems": seen[-1][0], "parameters": parameters, **told(slope), **_costs(seen)}


def test(count: int, folder: Path) -> Part:
    """A measurement with its predictions logged; every answer is kept until its summary."""
    import callbacks
    from flowdpo_pl import EvaluationModule, FunctionVerifier, PromptDataModule, Trainer

    warnings.filterwarnings("ignore")
    seen: list[tuple[int, float, int]] = []
    slope = MemorySlope()

    class Watch(callbacks.EvaluationProgressBar):
        def on_test_batch_end(self, *given: Any) -> None:
            super().on_test_batch_end(*given)
            done = seen[-1][0] + len(given[2]["answered"]) if seen else len(given[2]["answered"])
            slope.add(done, resident())
            seen.append((done, time.process_time(), 0))

    judge = FunctionVerifier("benchmarks.coin.coin", in_process=True)
    module = EvaluationModule(_team(folder), verifier=judge)
    with redirect_stdout(sys.stderr):
        Trainer(folder / "run", [callbacks.PredictionLog(), Watch()]).test(
            module, PromptDataModule(test=_rows(count))
        )
    return {"problems": seen[-1][0], **told(slope), **_costs(seen)}


def _costs(seen: list[tuple[int, float, int]]) -> Part:
    """Of a batch in each quarter of the run, in seconds of the processor; of checkpoints, in bytes."""
    quarters = [seen[place * (len(seen) - 1) // 4] for place in range(5)]
    numbers = [place * (len(seen) - 1) // 4 for place in range(5)]
    costs = [
        round((late[1] - early[1]) / max(1, last - first), 4)
        for early, late, first, last in zip(quarters, quarters[1:], numbers, numbers[1:], strict=False)
    ]
    sizes = [size for _, _, size in seen if size]
    return {"batch_processor_seconds": costs, "checkpoint_bytes": [sizes[0], sizes[-1]] if sizes else []}


PARTS: dict[str, Callable[[argparse.Namespace, Path], Part]] = {
    **{
        kind: lambda given, folder, kind=kind: stream(kind, given.prompts, folder)  # type: ignore[misc]
        for kind in ("jsonl", "gz", "parquet", "hub")
    },
    "trees": lambda given, folder: trees(given.trees, folder),
    "fit": lambda given, folder: fit(given.problems, folder),
    "test": lambda given, folder: test(given.problems, folder),
}


def in_turn(parts: Iterable[str], given: argparse.Namespace) -> None:
    """Each in a process of its own, which begins with the same memory."""
    for part in parts:
        counts = [f"--{name}={getattr(given, name)}" for name in ("prompts", "trees", "problems")]
        words = [sys.executable, "-m", "benchmarks.load", *counts, f"--here={part}"]
        subprocess.run(words, check=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--trees", type=int, default=100_000)
    parser.add_argument("--problems", type=int, default=20_000)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--here", choices=list(PARTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here is None:
        in_turn(given.only, given)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = str(Path(folder) / "cache")
        measured = PARTS[given.here](given, Path(folder))
    print(json.dumps({"part": given.here, **measured}), flush=True)


if __name__ == "__main__":
    main()
