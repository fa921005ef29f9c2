"""What the machine can do at most, and which share of it decoding, scoring and updating reach.

The roofline of a step is the larger of its arithmetic at the measured matmul rate and its memory traffic
at the measured bandwidth; the share is that time over the time it took.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from jsonargparse import auto_cli

from benchmarks.contenders.pair_file import full_trees
from benchmarks.repeat import Measurement, report, side_by_side
from benchmarks.workload import Workload
from flowdpo_pl.learn.packing import pack
from flowdpo_pl.learn.scoring import micro_batches, move_logprobs
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.engines.protocol import WriteRequest
from flowdpo_pl.play.flows.answer_stop import ANSWER


def limits(
    workload: Workload = Workload(),
    batches: list[int] = [16, 64, 128],  # noqa: B006
    rounds: int = 3,
) -> None:
    """Matmul rate, bandwidth, and the roofline share of decode, scoring and update.

    Args:
        workload: model and threads.
        batches: rows that are decoded together.
        rounds: medians are over this many.
    """
    module = workload.module()
    dtype = module.agents.dtype
    contenders: dict[str, Callable[[], Measurement]] = {"bandwidth": _bandwidth}
    for rows in (*batches, 1024):
        contenders[f"matmul_{rows}"] = lambda rows=rows: _matmul(module, rows)  # type: ignore[misc]
    for rows in batches:
        contenders[f"decode_{rows}"] = lambda rows=rows: _decode(module, rows)  # type: ignore[misc]
    contenders["score"] = lambda: _score(module, backward=False)
    contenders["update"] = lambda: _score(module, backward=True)
    results = side_by_side(contenders, rounds)
    peak = results["matmul_1024"]["flops_per_second"]
    shares = {}
    for rows in batches:
        one = results[f"decode_{rows}"]
        rate = results[f"matmul_{rows}"]["flops_per_second"]
        least = max(one["flops"] / rate, one["bytes"] / results["bandwidth"]["bytes_per_second"])
        shares[f"decode_{rows}"] = least / one["seconds"]
    for name in ("score", "update"):
        shares[name] = results[name]["flops"] / peak / results[name]["seconds"]
    report("limits", workload=vars(workload), dtype=str(dtype), rounds=rounds, results=results, shares=shares)


def _bandwidth() -> Measurement:
    source = torch.ones(64 * 2**20, dtype=torch.float32)
    started = time.perf_counter()
    for _ in range(5):
        source.sum()
    return {"bytes_per_second": 5 * source.numel() * 4 / (time.perf_counter() - started)}


def _matmul(module: FlowDPOModule, rows: int) -> Measurement:
    """Rate of the model's own products (all linear layers and the head once) with that many rows."""
    weights = [
        m.weight
        for m in module.agents.base.modules()
        if isinstance(m, torch.nn.Linear) and m.weight.dim() == 2
    ]
    frozen = [w.detach() for w in weights if not w.requires_grad]
    inputs = {w.shape[1]: torch.randn(rows, w.shape[1]).to(w.dtype) for w in frozen}
    with torch.inference_mode():
        for weight in frozen[:8]:
            inputs[weight.shape[1]] @ weight.T
        started = time.perf_counter()
        for weight in frozen:
            torch.nn.functional.linear(inputs[weight.shape[1]], weight)
        seconds = time.perf_counter() - started
    return {"flops_per_second": 2 * rows * sum(w.numel() for w in frozen) / seconds}


def _weights(module: FlowDPOModule) -> int:
    """Parameters that every token goes through: all matrices and the head."""
    base = module.agents.base
    matrices = sum(
        m.weight.numel()
        for m in base.modules()
        if isinstance(m, torch.nn.Linear) and not m.weight.requires_grad
    )
    return matrices


def _decode(module: FlowDPOModule, rows: int, prompt: int = 128, steps: int = 48) -> Measurement:
    engine = module.rollouts.engine
    requests = [
        WriteRequest(
            ANSWER, f"{row}", "", 0, tuple(100 + (row * 7 + k) % 40_000 for k in range(prompt)), steps
        )
        for row in range(rows)
    ]

    def run(limit: int) -> float:
        started = time.perf_counter()
        engine.write([WriteRequest(r.agent, r.problem_id, "", 0, r.prefix, limit) for r in requests])
        engine.reset()
        return time.perf_counter() - started

    prefill = run(1)
    seconds = run(steps) - prefill
    config, weights = module.agents.config, _weights(module)
    cache = (
        2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 2 * (prompt + steps / 2)
    )
    attention = (
        4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * (prompt + steps / 2)
    )
    return {
        "seconds": seconds,
        "tokens_per_second": rows * (steps - 1) / seconds,
        "flops": (steps - 1) * rows * (2 * weights + attention),
        "bytes": (steps - 1) * (2 * weights + rows * cache),
    }


def _score(module: FlowDPOModule, backward: bool) -> Measurement:
    trees = pack(full_trees(module), module.players.prompts)
    tokens = sum(map(len, trees))
    agents, config = module.agents, module.agents.config
    agents.train()
    body = _weights(module) - module.players.head.weight.numel()
    scored = sum(len(tree.scored) for tree in trees)
    attention = sum(
        4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * sum(tree.positions)
        for tree in trees
    )
    head = 2 * scored * module.players.head.weight.numel()
    forward = 2 * tokens * body + attention + head
    started = time.perf_counter()
    for batch in micro_batches(trees, module.team.budget.update_tokens, agents.device):
        if backward:
            with agents.acting_as(ANSWER):
                move_logprobs(agents, batch, module.players.head).sum().backward()
        else:
            with agents.reference(ANSWER):
                move_logprobs(agents, batch, module.players.head)
    seconds = time.perf_counter() - started
    for parameter in agents.parameters():
        parameter.grad = None
    # frozen weights need the gradient of their input only: backward costs one more forward
    flops = 2 * forward if backward else forward
    return {"seconds": seconds, "flops": flops, "tokens_per_second": tokens / seconds}


if __name__ == "__main__":
    auto_cli(limits)
