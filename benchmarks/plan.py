"""What `plan` predicts beside what runs take: peaks of memory, and the time that `--probe` computes.

Each run is a process of its own; the last line is JSON. `coin` judges by a coin toss, so that half of the
forks become pairs and the update needs most; `unseen` is a random model of 30M weights, of another family.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from benchmarks.repeat import report

_SMOLLM2 = ("--config=configs/smollm2/flow_dpo.yaml", "--model.team.base.path=models/smollm2")
_COIN = "--model.verifier=benchmarks.coin.coin"
RUNS = {
    "quickstart": ("--config=configs/quickstart.yaml",),
    "smollm2_bf16": _SMOLLM2,
    "smollm2_bf16_coin": (*_SMOLLM2, _COIN),
    "smollm2_nf4": (*_SMOLLM2, "--model.team.base.quantization=nf4"),
    "rank_64_coin": (*_SMOLLM2, _COIN, "--model.team.lora.r=64"),
    "chunks_320": (*_SMOLLM2, "--model.team.flow.chunk_tokens=320", "--model.team.flow.max_chunks=2"),
    "unseen_30m_coin": (*_SMOLLM2, _COIN, "--model.team.base.path={unseen}"),
}
UNSEEN = {
    "model_type": "qwen3",
    "hidden_size": 320,
    "intermediate_size": 1280,
    "num_hidden_layers": 9,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "head_dim": 64,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}


def plan(
    runs: list[str] = list(RUNS),  # noqa: B006
    batches: int = 2,
    batch_size: int = 32,
    probe: bool = False,
) -> None:
    """Compare predictions with runs.

    Args:
        runs: names of what is run.
        batches: of each run.
        batch_size: problems of a batch.
        probe: also compare the time of a run with the one that two batches predict.
    """
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in runs:
            words = [word.format(unseen=folder) for word in RUNS[name]]
            if words != list(RUNS[name]):
                _write_unseen(Path(folder))
            results[name] = _compared(words, batches, batch_size, probe)
            print(json.dumps({name: results[name]}), flush=True)
    report("plan", batches=batches, batch_size=batch_size, results=results)


def _write_unseen(folder: Path) -> None:
    """A random model with SmolLM2's tokenizer, in bfloat16."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained("models/smollm2")
    ends = {"bos_token_id": None, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    shape = {name: value for name, value in UNSEEN.items() if name != "model_type"}
    config = AutoConfig.for_model(str(UNSEEN["model_type"]), vocab_size=len(words), **shape, **ends)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    words.save_pretrained(folder)


def _compared(words: list[str], batches: int, batch_size: int, probe: bool) -> dict[str, Any]:
    sizes = [f"--data.batch_size={batch_size}", f"--model.max_problems={batches * batch_size}"]
    given = [*words, *sizes]
    options = ["--json", *(["--probe"] if probe else [])]
    told = _run("plan", *given, *options).stdout.splitlines()[-1]
    predicted = json.loads(told)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        _run("fit", *given, f"--trainer.logger.init_args.save_dir={folder}")
        seconds = time.perf_counter() - started
        (table,) = Path(folder).rglob("metrics.csv")
        with table.open(encoding="utf-8") as rows:
            peaks = [float(row["peak_memory_bytes"]) for row in csv.DictReader(rows)]
    played = predicted.get("played", {}).get("needs")
    return {
        "measured_bytes": max(peaks),
        "typical_bytes": predicted["typical"]["needs"],
        "at_most_bytes": predicted["at_most"]["needs"],
        "played_bytes": played,
        "libraries_bytes": predicted["typical"]["memory"]["libraries"],
        "typical_share": predicted["typical"]["needs"] / max(peaks),
        "played_share": played and played / max(peaks),
        "measured_seconds": seconds,
        "predicted_seconds": (predicted["measured"] or {}).get("run_seconds"),
    }


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flowdpo_pl", *words], check=True, stdout=subprocess.PIPE, text=True
    )


if __name__ == "__main__":
    auto_cli(plan)
