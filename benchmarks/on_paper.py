"""What 1, 8 and 64 H100 would do with the paper's flow, from `plan` and from what one was measured to take.

Nothing is run. Each GPU plays its share of a batch wave by wave and learns from it; the batch ends with the
GPU whose answers got longest, and then each agent's gradients are summed. Assumed: a chain goes on with
probability 1/2 after each chunk; a token of a wave takes what it took in a batch of Llama-3-8B on one H100
(docs/configs.md), which was the launches of its kernels, in proportion to layers, or, if that is longer,
the products of its rows at half of the card's rate; nf4 is as much slower as it was measured to be
(docs/performance.md); GPUs of a node sum at 200 GB/s, nodes at 25 GB/s. The last line is JSON.
"""

from __future__ import annotations

import io
import json
import random
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from jsonargparse import auto_cli

from benchmarks.repeat import report
from flowdpo_pl.verbs.plan import plan

_CHUNK, _MOST = 160, 6
_PLAY_SECONDS, _UPDATE_SECONDS, _MEASURED_PROBLEMS = 42.6, 10.0, 16
_NF4_PLAY, _NF4_UPDATE = 0.50, 0.78
_RATE = 0.5 * 989e12
_NODE, _BETWEEN, _OF_A_NODE = 200e9, 25e9, 8
_TREE_BYTES, _PICKLED = 40_000, 100e6
"""Of a tree, and bytes a second of what Python writes and reads back."""


@dataclass(frozen=True)
class Base:
    """A base of Llama's shape."""

    name: str
    shape: dict[str, int]
    weights: float
    adapter: int
    """Weights of one agent's, of rank 8."""
    quantization: str | None

    @property
    def layers(self) -> int:
        return self.shape["num_hidden_layers"]


_SHAPE = json.loads(Path("configs/llama3_8b/config.json").read_text())
_LARGE = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64}
BASES = (
    Base("Llama-3-8B, bf16", _SHAPE, 8.0e9, 20_971_520, None),
    Base("70B, nf4", {**_SHAPE, **_LARGE}, 70.6e9, 103_546_880, "nf4"),
)


def on_paper(gpus: list[int] = [1, 8, 64], of_a_gpu: int = 32, paper_s: int = 32, times: int = 200) -> None:  # noqa: B006
    """
    Args:
        gpus: numbers of cards.
        of_a_gpu: problems that each plays of a batch, where batches grow with the cards.
        paper_s: problems of a batch, where they don't.
        times: batches that are drawn, for the mean of the longest chains.
    """
    rows: list[dict[str, Any]] = []
    for base in BASES:
        for count in gpus:
            for batch in dict.fromkeys((paper_s, of_a_gpu * count)):
                rows.append(_row(base, count, batch, times))
                print(rows[-1], file=sys.stderr, flush=True)
    report("on_paper", rows=rows)


def _row(base: Base, gpus: int, batch: int, times: int) -> dict[str, Any]:
    draws = random.Random(0)
    share = -(-batch // gpus)
    busy = min(gpus, batch)
    drawn = [[_waves(share, draws) for _ in range(busy)] for _ in range(times)]
    longest, alone = mean(map(max, drawn)), mean(mean(of_rank) for of_rank in drawn)
    quantized = base.quantization is not None
    a_step = _launches(times) * base.layers / _SHAPE["num_hidden_layers"] / (_NF4_PLAY if quantized else 1)
    products = 3 * share * 2 * base.weights / _RATE
    step = max(a_step, products)
    learnt = _UPDATE_SECONDS * share / _MEASURED_PROBLEMS * base.weights / BASES[0].weights
    seconds = {
        "play": longest * _CHUNK * step,
        "of it waiting for the longest": (longest - alone) * _CHUNK * step,
        "update": learnt / (_NF4_UPDATE if quantized else 1),
        "gradients": 2 * _summed_seconds(4 * base.adapter, gpus),
        "trees": _TREE_BYTES * batch / _PICKLED if gpus > 1 else 0.0,
    }
    total = sum(seconds[part] for part in ("play", "update", "gradients", "trees"))
    memory = _planned(base, gpus, batch)
    return {
        "base": base.name,
        "gpus": gpus,
        "batch": batch,
        "idle_gpus": gpus - busy,
        "trees_a_second": round(batch / total, 2),
        "seconds": {part: round(value, 2) for part, value in seconds.items()},
        "rows_at_which_products_take_as_long_as_launches": round(a_step * _RATE / (2 * base.weights)),
        "memory_gb": memory,
    }


def _waves(problems: int, draws: random.Random) -> int:
    """Waves that a share takes: a chain's chunks, or those of a path that has left it for one chunk more."""
    most = 0
    for _ in range(problems):
        chunks = _length(draws)
        paths = [node + min(_length(draws), _MOST - node) for node in range(chunks)]
        most = max(most, chunks, *(path + 1 for path in paths))
    return most


def _length(draws: random.Random) -> int:
    length = 1
    while length < _MOST and draws.random() < 0.5:
        length += 1
    return length


def _launches(times: int) -> float:
    """Seconds of a token of a wave, as measured."""
    draws = random.Random(1)
    return _PLAY_SECONDS / _CHUNK / mean(_waves(_MEASURED_PROBLEMS, draws) for _ in range(times))


def _summed_seconds(size: int, gpus: int) -> float:
    """Of a ring's sum over all GPUs."""
    if gpus == 1:
        return 0.0
    return 2 * size * (gpus - 1) / gpus / (_NODE if gpus <= _OF_A_NODE else _BETWEEN)


def _planned(base: Base, gpus: int, batch: int) -> dict[str, float]:
    """What `plan` says a GPU needs."""
    with TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(base.shape))
        words = ["--config=configs/paper/flow_dpo.yaml", "--config=configs/llama3_8b/model.yaml"]
        words += [
            f"--data.batch_size={batch}",
            f"--data.chunk_size={max(batch, 160)}",
            f"--trainer.devices={gpus}",
        ]
        words += [f"--model.team.base.quantization={base.quantization}"] if base.quantization else []
        said_of_it = io.StringIO()
        with redirect_stdout(said_of_it):
            plan(words, card="h100", shape=Path(folder), json=True)
    said = json.loads(said_of_it.getvalue())
    return {name: round(said[name]["needs"] / 1e9, 1) for name in ("typical", "at_most")}


if __name__ == "__main__":
    auto_cli(on_paper)
