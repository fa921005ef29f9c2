"""The paper's learning as its config has it, on one card: what `plan` predicts and what a few batches take.

The weights are random, of the shape that `configs/MODEL/config.json` says: a chunk never ends early, and
whether an answer is finished is as good as a coin toss. A coin judges, so half of all forks become pairs.
Nothing is downloaded.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from benchmarks.repeat import report

ROWS = Path("quickstart/problems/train.jsonl")
MEASURED = (
    *("seconds/play", "seconds/score", "seconds/update", "generated_tokens", "generated_tokens_per_second"),
    *("chunks_per_answer", "answer/pairs", "answer/tokens", "stop/pairs", "stop/tokens", "peak_memory_bytes"),
)
"""Columns of `metrics.csv`."""


def paper(
    model: str,
    tokenizer: str,
    settings: list[str] = [],  # noqa: B006
    batches: int = 2,
    batch_size: int = 32,
    memory: str = "/dev/shm",
) -> None:
    """Compare a prediction with a run.

    Args:
        model: a folder of configs, such as qwen3_1b7.
        tokenizer: folder of that model's tokenizer and chat template.
        settings: further words of the run, configs as well.
        batches: of the run.
        batch_size: problems of a batch.
        memory: folder for the weights.
    """
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        base = Path(folder) / "base"
        started = time.perf_counter()
        _write_random(base, Path("configs") / model / "config.json", Path(tokenizer))
        written = time.perf_counter() - started
        words = _words(model, base, Path(folder), settings)
        words += [f"--data.batch_size={batch_size}", f"--model.max_problems={batches * batch_size}"]
        predicted = json.loads(_run("plan", *words, "--json").splitlines()[-1])
        started = time.perf_counter()
        _run("fit", *words)
        seconds = time.perf_counter() - started
        run = Path(folder) / "runs" / "flow_dpo"
        with (run / "metrics.csv").open(encoding="utf-8") as rows:
            table = [{key: float(row[key]) for key in MEASURED if row[key]} for row in csv.DictReader(rows)]
        shutil.rmtree(base)
        report(
            "paper",
            model=model,
            settings=settings,
            batch_size=batch_size,
            write_seconds=written,
            card=predicted["card"],
            predicted={name: _told(predicted[name]) for name in ("typical", "at_most")},
            fit_seconds=seconds,
            batches=table,
        )


def _words(model: str, base: Path, folder: Path, settings: list[str]) -> list[str]:
    rows = folder / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as lines:
        for line in ROWS.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            told = {"query": row["question"], "response": f"The answer is: {row['answer']}"}
            lines.write(json.dumps({**told, "original_question": row["id"]}) + "\n")
    return [
        "--config=configs/paper/flow_dpo.yaml",
        f"--config=configs/{model}/model.yaml",
        f"--model.team.base.path={base}",
        "--model.verifier=benchmarks.coin.coin",
        f"--data.train.path={rows}",
        "--data.validation=null",
        f"--trainer.logger.init_args.save_dir={folder / 'runs'}",
        *settings,
    ]


def _write_random(folder: Path, shape: Path, tokenizer: Path) -> None:
    """A model of that shape in bf16, made on the card if there is one, with a tokenizer of its own."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(tokenizer)
    config = AutoConfig.from_pretrained(shape)
    config.eos_token_id, config.pad_token_id = words.eos_token_id, words.pad_token_id
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="4GB")
    words.save_pretrained(folder)


def _told(extent: dict[str, Any]) -> dict[str, Any]:
    return {key: extent[key] for key in ("needs", "hours", "memory")}


def _run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "flowdpo_pl", *words], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{words[0]} failed with exit code {done.returncode}: see its messages above.")
    return done.stdout


if __name__ == "__main__":
    auto_cli(paper)
