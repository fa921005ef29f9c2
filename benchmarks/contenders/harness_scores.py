"""The other side of `benchmarks.harness`: lm-evaluation-harness's own GSM8K task, on rows of a local file.

Runs by an interpreter that has lm_eval. Filters and metric are the harness's, and the prompt unless another
is given; changed are the data (a local file), zero shots, the number of tokens and what ends a text.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import lm_eval
import torch
import yaml
from lm_eval.api.model import LM


class Replay(LM):  # type: ignore[misc]
    """Says what is in the rows' `output` already."""

    def __init__(self, outputs: list[str]) -> None:
        super().__init__()
        self._outputs = outputs

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        return [self._outputs[request.doc_id] for request in requests]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        raise NotImplementedError


def gsm8k(rows: Path, prompt: str | None, max_tokens: int) -> dict[str, Any]:
    """The harness's task with local data; only the model's end token, which it adds, ends a text."""
    file = Path(lm_eval.__file__).parent / "tasks" / "gsm8k" / "gsm8k.yaml"
    task = yaml.safe_load(file.read_text(encoding="utf-8"))
    for key in ("tag", "dataset_name", "training_split", "fewshot_split"):
        task.pop(key)
    return {
        **task,
        "task": "gsm8k_local",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "num_fewshot": 0,
        "doc_to_text": prompt or task["doc_to_text"],
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": max_tokens},
    }


def main() -> None:
    """Write one JSON object a row: `text`, and whether each filter finds it right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=Path, required=True, help="jsonl with question, answer, maybe output")
    parser.add_argument("--output", type=Path, required=True, help="jsonl to write")
    parser.add_argument("--model", help="folder of the model that writes; without it, `output` is replayed")
    parser.add_argument("--prompt", help="with {{question}}; without it, the harness's")
    parser.add_argument("--max_tokens", type=int, default=128, help="of a text")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.model is None:
        with options.rows.open(encoding="utf-8") as lines:
            replay = Replay([json.loads(line)["output"] for line in lines])
        arguments: dict[str, Any] = {"model": replay}
    else:
        arguments = {
            "model": "hf",
            "model_args": {"pretrained": options.model, "dtype": "float32"},
            "device": "cpu",
            "batch_size": 16,
            "apply_chat_template": True,
        }
    task = gsm8k(options.rows, options.prompt, options.max_tokens)
    results = lm_eval.simple_evaluate(**arguments, tasks=[task], bootstrap_iters=0)
    scored: dict[int, dict[str, Any]] = {}
    for sample in results["samples"]["gsm8k_local"]:
        row = scored.setdefault(sample["doc_id"], {"text": sample["resps"][0][0]})
        row[sample["filter"]] = bool(sample["exact_match"])
    with options.output.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(scored[index]) + "\n" for index in sorted(scored))


if __name__ == "__main__":
    main()
