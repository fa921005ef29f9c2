"""Everything that a GPU changes, in a few minutes: `python -m benchmarks.gpu`, a line of JSON a part.

A Llama-shaped model of about a billion random parameters plays and learns in bf16 and nf4, eagerly and
compiled, beside the stitched loop and padded pairs; then the quickstart trains. A part that fails says how,
and the others go on. On a CPU, with little of everything: `--device cpu --small true`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from jsonargparse import auto_cli

from benchmarks.contenders.pair_file import full_trees
from benchmarks.contenders.stitched_engine import StitchedEngine, timed_play
from benchmarks.contenders.stitched_loop import StitchedLoop
from benchmarks.end_to_end import padded_update
from benchmarks.guarded import Guarded
from benchmarks.random_model import Shape, write_random_model
from benchmarks.workload import activate, prompts
from flowdpo_pl.learn.learner import Learner, Learning
from flowdpo_pl.learn.packing import pack, scored_moves
from flowdpo_pl.measure.memory import peak_memory_bytes
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.quantization import Quantization
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.engines.native import NativeEngine
from flowdpo_pl.play.engines.protocol import WriteRequest
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER, AnswerStopFlow
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.play.team import Budget, Team
from flowdpo_pl.types import Problem, Verdict

QUESTION = " ".join(
    ["Tom has some apples and gives a few of them to Ann, who had none of her own before."] * 4
)


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    shape: Shape = field(default_factory=Shape)
    problems: int = 64
    chunk_tokens: int = 32
    max_chunks: int = 3
    decode_rows: tuple[int, ...] = (64, 256)
    decode_steps: int = 64
    tree_problems: int = 32
    """Of the update's full trees, 6 chunks of 48 tokens each."""
    pairs_at_once: tuple[int, ...] = (16,)
    matmul: int = 8192
    copied_bytes: int = 2**31
    rounds: int = 1
    quickstart_problems: int = 1536


SMALL = Size(
    Shape(hidden_size=64, layers=2, heads=4, kv_heads=2, head_size=16, intermediate_size=128),
    problems=3, chunk_tokens=8, max_chunks=2, decode_rows=(4,), decode_steps=8, tree_problems=2,
    pairs_at_once=(2,), matmul=256, copied_bytes=2**24, rounds=1, quickstart_problems=64,
)  # fmt: skip


class Coin:
    """Judges a text by a fixed coin toss, at once."""

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        future.set_result(Verdict(correct=zlib.crc32(prediction.encode()) % 2 == 0, extracted=prediction))
        return future


@dataclass(frozen=True)
class Machine:
    """What the device does at most, as measured."""

    flops_per_second: float
    bytes_per_second: float


class Bench:
    """The parts, on one model folder."""

    def __init__(self, folder: Path, size: Size, device: torch.device) -> None:
        self.folder = folder
        self.size = size
        self.device = device
        self.machine = Machine(float("nan"), float("nan"))

    def facts(self) -> dict[str, Any]:
        """The card, the versions, the measured rates."""
        import transformers

        side = self.size.matmul
        one, other = (torch.randn(side, side, device=self.device).bfloat16() for _ in range(2))
        source = torch.zeros(self.size.copied_bytes, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        multiply = self.seconds(lambda: one @ other, 5)
        copy = self.seconds(lambda: target.copy_(source), 5)
        self.machine = Machine(2 * side**3 / multiply, 2 * source.numel() / copy)
        cuda = self.device.type == "cuda"
        return {
            "card": torch.cuda.get_device_name(self.device) if cuda else "cpu",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            **vars(self.machine),
        }

    def seconds(self, run: Callable[[], object], rounds: int) -> float:
        """Median of the rounds, after one that is not counted."""
        taken = []
        for _ in range(rounds + 1):
            self.wait()
            started = time.perf_counter()
            run()
            self.wait()
            taken.append(time.perf_counter() - started)
        return median(taken[1:])

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def load(self, quantization: Quantization | None = None) -> FlowDPOModule:
        """The model with adapters that are active."""
        flow = AnswerStopFlow(self.size.chunk_tokens, self.size.max_chunks)
        base = BaseModel(str(self.folder), dtype="bfloat16", quantization=quantization)
        budget = Budget(decode_tokens=2**19, update_tokens=2**14)
        plain = {agent: replace(prompt, system="") for agent, prompt in prompts().items()}  # any template
        module = FlowDPOModule(Team(base, plain, flow, budget=budget))
        with self.device:
            module.configure_model()
        module.to(self.device)
        activate(module.players.agents)
        return module

    def problems(self) -> list[Problem]:
        return [Problem(f"p{n}", f"Problem {n}. {QUESTION}", "") for n in range(self.size.problems)]

    def rollouts(self, module: FlowDPOModule) -> Rollouts:
        return module.players.rollouts(Sampling(), Coin(), module.draws)

    def play(self, module: FlowDPOModule) -> dict[str, Any]:
        """Whole trees, and single decoding steps beside the roofline."""
        rollouts, problems = self.rollouts(module), self.problems()
        warm = time.perf_counter()
        rollouts.play(problems, NodeAlternatives())
        warm = time.perf_counter() - warm
        self.forget_peak()
        plays = [rollouts.play(problems, NodeAlternatives()) for _ in range(self.size.rounds)]
        seconds = median(play.seconds for play in plays)
        tokens = plays[0].generated_tokens
        return {
            "first_play_seconds": warm,
            "seconds": seconds,
            "generated_tokens": tokens,
            "generated_tokens_per_second": tokens / seconds,
            "trees_per_second": len(problems) / seconds,
            "alternatives": sum(len(tree.forks) for tree in plays[0].trees),
            "peak_bytes": peak_memory_bytes(self.device),
            "decode": {rows: self.decode(module, rows) for rows in self.size.decode_rows},
        }

    def compiled_play(self, module: FlowDPOModule) -> dict[str, Any]:
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        module.players.agents.compile_decoding()
        result = self.play(module)
        return {**result, "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"]}

    def decode(self, module: FlowDPOModule, rows: int, prompt: int = 128) -> dict[str, float]:
        """Tokens per second of steps of one token, and their share of the roofline."""
        agents, steps, vocabulary = module.players.agents, self.size.decode_steps, self.vocabulary(module)
        engine = NativeEngine(agents, module.players.head, module.draws, Sampling(), 2**30)
        prefixes = [tuple(1 + (row * 7 + k) % (vocabulary - 2) for k in range(prompt)) for row in range(rows)]

        def write(limit: int) -> None:
            engine.write(
                [WriteRequest(ANSWER, f"{row}", "", 0, one, limit) for row, one in enumerate(prefixes)]
            )
            engine.reset()

        seconds = self.seconds(lambda: write(steps + 1), self.size.rounds)
        seconds -= self.seconds(lambda: write(1), self.size.rounds)
        shape, context = self.size.shape, prompt + steps / 2
        head = module.players.head.weight
        frozen = sum(p.numel() * p.element_size() for p in agents.base.parameters() if not p.requires_grad)
        cache = 2 * shape.layers * shape.kv_heads * shape.head_size * 2 * context
        attention = 4 * shape.layers * shape.heads * shape.head_size * context
        flops = steps * rows * (2 * (shape.matrices + head.numel()) + attention)
        moved = steps * (frozen + rows * cache)
        least = max(flops / self.machine.flops_per_second, moved / self.machine.bytes_per_second)
        return {"tokens_per_second": rows * steps / seconds, "share_of_roofline": least / seconds}

    def stitched(self, module: FlowDPOModule) -> dict[str, Any]:
        """The loop around `generate`; one round, it is slow."""
        players, problems = module.players, self.problems()
        engine = StitchedEngine(str(self.folder), players.agents, players.prompts.end_ids, rows=256)
        loop = StitchedLoop(players.flow, players.prompts, engine, Coin())
        loop.play(problems[:1])
        return dict(timed_play(loop, engine, problems))

    def update(self, module: FlowDPOModule) -> dict[str, Any]:
        """One optimizer step of Answer from full trees: reference, policy, backward, Adam."""
        agents, pairs = module.players.agents, self.pairs(module)
        tokens = sum(map(len, pack(pairs, module.players.prompts)))
        optimizer = module.configure_optimizers()
        learner = Learner(
            module.players, module.draws, torch.Tensor.backward, module.team.budget.update_tokens
        )
        agents.train()
        self.forget_peak()
        seconds = self.seconds(
            lambda: learner.learn(ANSWER, pairs, Learning(lr=1e-9), optimizer, 0), self.size.rounds
        )
        agents.eval()
        scored = sum(len(tree.scored) for tree in pack(pairs, module.players.prompts))
        forward = 2 * tokens * self.size.shape.matrices + 2 * scored * module.players.head.weight.numel()
        # the reference is a forward, and frozen weights need the gradient of their input only
        least = 3 * forward / self.machine.flops_per_second
        return {
            "seconds": seconds,
            "pairs": len(pairs),
            "tokens": tokens,
            "tokens_per_second": tokens / seconds,
            "share_of_roofline": least / seconds,
            "peak_bytes": peak_memory_bytes(self.device),
        }

    def padded(self, module: FlowDPOModule) -> dict[str, Any]:
        """The same pairs as two padded sequences each, at the best size of a micro-batch."""
        agents, pairs = module.players.agents, self.pairs(module)
        learner = Learner(module.players, module.draws, torch.Tensor.backward, 2**14)
        agents.train()

        def step(at_once: int) -> None:
            padded_update(learner, ANSWER, pairs, at_once)
            agents.zero_grad()

        tried = {}
        for at_once in self.size.pairs_at_once:
            self.forget_peak()
            seconds = self.seconds(lambda size=at_once: step(size), 1)  # type: ignore[misc]
            tried[at_once] = (seconds, peak_memory_bytes(self.device))
        agents.eval()
        best = min(tried, key=lambda size: tried[size][0])
        moves = [move for pair in pairs for move in scored_moves(pair, module.players.prompts)]
        return {
            "seconds": tried[best][0],
            "pairs_at_once": best,
            "tokens": sum(len(move.inputs) for move in moves),
            "peak_bytes": tried[best][1],
        }

    def pairs(self, module: FlowDPOModule) -> Any:
        return full_trees(module, self.size.tree_problems, vocabulary=self.vocabulary(module))

    def vocabulary(self, module: FlowDPOModule) -> int:
        return int(module.players.agents.config.vocab_size)

    def forget_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def quickstart(self, name: str, seconds: float, *arguments: str) -> dict[str, Any]:
        """Train the quickstart's flow in a process of its own, for so many seconds at most."""
        command = [sys.executable, "-m", "flowdpo_pl", "fit", "--config", "configs/quickstart.yaml"]
        command += [
            f"--trainer.accelerator={'gpu' if self.device.type == 'cuda' else 'cpu'}",
            "--trainer.devices=1",
            f"--trainer.logger.init_args.save_dir={self.folder.parent}",
            f"--trainer.logger.init_args.name={name}",
            *arguments,
        ]
        started = time.perf_counter()
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
            messages = done.stderr if done.returncode else ""
        except subprocess.TimeoutExpired:
            messages = "it was not done in time"
        result: dict[str, Any] = {"process_seconds": time.perf_counter() - started}
        run = self.folder.parent / name
        if messages:
            result["failed"] = messages[-3000:]
            if (curve := run / "accuracy_curve.csv").exists():
                result["accuracy_so_far"] = curve.read_text().splitlines()[-1]
            return result
        summary = json.loads((run / "summary.json").read_text())
        wanted = ("problems_seen", "progressive_accuracy", "window_accuracy", "seconds")
        return {**result, **{name: summary[name] for name in (*wanted, "peak_memory_bytes")}}


def gpu(
    device: str = "cuda:0",
    small: bool = False,
    tokenizer: str = "quickstart/model",
    budget_seconds: float = 135.0,
) -> None:
    """
    Args:
        device: where everything runs.
        small: little of everything, to try the benchmark itself.
        tokenizer: folder of the random model's tokenizer; its size is the vocabulary.
        budget_seconds: parts that would take longer than what is left of it are left out.
    """
    size = SMALL if small else Size()
    guarded = Guarded(budget_seconds)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "model", size, torch.device(device))
        guarded.run("facts", bench.facts)

        def build() -> dict[str, Any]:
            write_random_model(bench.folder, tokenizer, size.shape, bench.device)
            return {"shape": vars(size.shape)}

        guarded.run("build", build)
        modules: dict[str, FlowDPOModule] = {}

        def load(name: str, quantization: Quantization | None) -> dict[str, Any]:
            modules[name] = bench.load(quantization)
            return {"parameters": sum(p.numel() for p in modules[name].players.agents.base.parameters())}

        guarded.run("load_bf16", lambda: load("bf16", None))
        guarded.run("play_bf16", lambda: bench.play(modules["bf16"]))
        guarded.run("update_packed", lambda: bench.update(modules["bf16"]))
        guarded.run("update_padded", lambda: bench.padded(modules["bf16"]))
        guarded.run("load_nf4", lambda: load("nf4", "nf4"))
        guarded.run("play_nf4", lambda: bench.play(modules["nf4"]))
        guarded.run("update_nf4", lambda: bench.update(modules["nf4"]))
        problems = f"--model.max_problems={size.quickstart_problems}"
        guarded.run("quickstart", lambda: bench.quickstart("all", guarded.left, problems), needs=15)
        few = ("--trainer.deterministic=true", "--model.max_problems=32")
        guarded.run("deterministic", lambda: bench.quickstart("few", guarded.left, *few), needs=10)
        guarded.run("play_bf16_compiled", lambda: bench.compiled_play(modules["bf16"]), needs=20)
        guarded.run("play_stitched", lambda: bench.stitched(modules["bf16"]), needs=10)
        guarded.run("play_nf4_compiled", lambda: bench.compiled_play(modules["nf4"]), needs=30)
    ratios = {
        f"{what}: {above} over {below}": guarded.ratio(above, below, what)
        for above, below, what in (
            ("play_bf16", "play_stitched", "generated_tokens_per_second"),
            ("play_bf16", "play_stitched", "trees_per_second"),
            ("play_bf16_compiled", "play_bf16", "generated_tokens_per_second"),
            ("play_nf4_compiled", "play_nf4", "generated_tokens_per_second"),
            ("play_nf4", "play_bf16", "generated_tokens_per_second"),
            ("update_padded", "update_packed", "seconds"),
            ("update_padded", "update_packed", "peak_bytes"),
            ("update_nf4", "update_packed", "seconds"),
        )
    }
    print(json.dumps({"part": "ratios", **ratios}), flush=True)


if __name__ == "__main__":
    auto_cli(gpu, as_positional=False)
