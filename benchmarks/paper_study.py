"""The paper's whole study, end to end, on a tiny random model with the real tokenizer, template and prompts.

    python -m benchmarks.paper_study qwen3_1b7 FOLDER_OF_ITS_TOKENIZER

Nothing is downloaded: what the configs name by hub ids is a folder of that name where the study runs. Command
and configs are those of docs/study.md but for three things: a coin judges, since a random model is never
right, the weights are fp32, and chunks, answers, batches and the numbers of problems are small.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import yaml
from jsonargparse import auto_cli

from benchmarks.repeat import report

ROOT = Path(__file__).resolve().parents[1]
ROWS = ROOT / "quickstart" / "problems"
DOCUMENTED = {"llama3_8b": {}, "qwen3_1b7": {"flow": "flow", "single": "single"}}
"""Values of the study for each model (docs/study.md)."""
SMALL = {"tokens": "12", "problems": "16", "prompts": "12"}
SIZES = {"chunk_tokens": 6, "max_chunks": 2, "max_tokens": 12, "batch_size": 8}
"""In place of the configs' own."""
_VERIFIER = re.compile(r"verifier:\s+(class_path: )?flowdpo_pl\.MarkedAnswerVerifier")


def paper_study(model: Literal["llama3_8b", "qwen3_1b7"], tokenizer: str, folder: str | None = None) -> None:
    """Run every stage of configs/paper/table_1.yaml.

    Args:
        model: llama3_8b or qwen3_1b7.
        tokenizer: folder of that model's tokenizer and chat template.
        folder: where to run; null: a folder that is removed in the end.
    """
    with tempfile.TemporaryDirectory() as passing:
        place = Path(folder or passing)
        _write_configs(place)
        _write_base(place / _base_name(model), ROOT / "configs" / model / "config.json", Path(tokenizer))
        _write_data(place)
        started = time.perf_counter()
        words = [
            "study",
            "--config=configs/paper/table_1.yaml",
            f"--output={place / 'study'}",
            f"--values.model={model}",
        ]
        values = DOCUMENTED[model] | SMALL
        words += [f"--values.{name}={value}" for name, value in values.items()]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-m", "flowdpo_pl", *words], cwd=place, env=environment)
        if done.returncode:
            sys.exit(f"the study failed with exit code {done.returncode}: see its messages above.")
        stages = sorted(file.parent.name for file in (place / "study").glob("seed0/*/stage.json"))
        report("paper_study", model=model, stages=stages, seconds=time.perf_counter() - started)


def _write_configs(place: Path) -> None:
    shutil.copytree(ROOT / "configs", place / "configs", dirs_exist_ok=True)
    for file in (place / "configs").rglob("*.yaml"):
        text = file.read_text(encoding="utf-8").replace("dtype: bfloat16", "dtype: float32")
        text = _VERIFIER.sub("verifier: benchmarks.coin.coin", text)
        for name, size in SIZES.items():
            text = re.sub(rf"\b{name}: \d+", f"{name}: {size}", text)
        file.write_text(text, encoding="utf-8")


def _base_name(model: str) -> str:
    text = (ROOT / "configs" / model / "model.yaml").read_text(encoding="utf-8")
    return str(yaml.safe_load(text)["model"]["init_args"]["team"]["base"]["path"])


def _write_base(folder: Path, shape: Path, tokenizer: Path) -> None:
    """Two small layers of that model's make."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(tokenizer)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_window_layers": 2}
    small |= {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    shaped = {**json.loads(shape.read_text(encoding="utf-8")), **small}
    shaped.pop("layer_types", None)
    config = AutoConfig.for_model(**shaped)
    config.eos_token_id, config.pad_token_id = words.eos_token_id, words.pad_token_id
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    words.save_pretrained(folder)


def _write_data(place: Path) -> None:
    """The quickstart's problems under the names and in the columns of the real data sets."""
    train = [
        json.loads(line) for line in (ROWS / "train.jsonl").read_text(encoding="utf-8").splitlines()[:64]
    ]
    valid = [json.loads(line) for line in (ROWS / "valid.jsonl").read_text(encoding="utf-8").splitlines()[:8]]
    meta = [
        {
            "query": row["question"],
            "response": f"{row['solution']}\nThe answer is: {row['answer']}",
            "original_question": row["id"],
        }
        for row in train
    ]
    gsm8k = [
        {"question": row["question"], "answer": f"{row['solution']}\n#### {row['answer']}"} for row in valid
    ]
    math = [
        {
            "problem": row["question"],
            "solution": f"$\\boxed{{{row['answer']}}}$",
            "type": "Algebra",
            "level": "Level 1",
        }
        for row in valid
    ]
    for name, rows in {
        "meta-math/MetaMathQA/train": meta,
        "openai/gsm8k/main/test": gsm8k,
        "DigitalLearningGmbH/MATH-lighteval/default/test": math,
    }.items():
        file = place / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    auto_cli(paper_study)
