"""Moves by lm-evaluation-harness's `hf` model with an exported adapter: one side of `benchmarks.exported`.

Runs by an interpreter that has lm_eval and peft.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM


def task(rows: Path, words: list[str], max_tokens: int) -> dict[str, Any]:
    """Go on from each row's `prompt`: write, or choose among the words by their log-probabilities."""
    asked: dict[str, Any] = {
        "task": "moves",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "{{prompt}}",
        "target_delimiter": "",
    }
    if words:
        chosen = {"output_type": "multiple_choice", "doc_to_choice": words, "doc_to_target": 0}
        return {**asked, **chosen, "metric_list": [{"metric": "acc"}]}
    kwargs = {"until": [], "do_sample": False, "max_gen_toks": max_tokens}
    written = {"output_type": "generate_until", "doc_to_target": "", "generation_kwargs": kwargs}
    return {**asked, **written, "metric_list": [{"metric": "exact_match"}]}


def said(sample: dict[str, Any], words: list[str]) -> str:
    """The text that was written, or the likelier word."""
    if not words:
        return str(sample["resps"][0][0])
    scores = [float(response[0][0]) for response in sample["resps"]]
    return words[scores.index(max(scores))]


def main() -> None:
    """Write one JSON text a row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--model_args", type=json.loads, required=True, help="of the harness's hf model, as JSON"
    )
    parser.add_argument("--rows", type=Path, required=True, help="jsonl with prompt")
    parser.add_argument("--words", type=json.loads, default=[], help="that are chosen from, as JSON")
    parser.add_argument("--max_tokens", type=int, default=0, help="of a text")
    parser.add_argument("--output", type=Path, required=True, help="jsonl to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = HFLM(**options.model_args, device="cpu", batch_size=1)
    # the harness sets a length, before which transformers takes a base's own number of new tokens
    model.model.generation_config.max_new_tokens = None
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=[task(options.rows, options.words, options.max_tokens)],
        bootstrap_iters=0,
    )
    samples = sorted(results["samples"]["moves"], key=lambda sample: sample["doc_id"])
    lines = [json.dumps(said(sample, options.words)) for sample in samples]
    options.output.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
