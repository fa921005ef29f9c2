"""One contender of `benchmarks.update`: TRL's DPOTrainer, run by an interpreter that has trl.

It gets token ids (its text columns would append an end token to every chunk) and takes one optimizer step
over all pairs by accumulation. The reference is the base with the adapter off, as TRL does with PEFT.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer


class TokenIdsTrainer(DPOTrainer):  # type: ignore[misc]
    """Takes a data set that is tokenised already."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset


def main() -> None:
    """Print seconds and peak memory above the idle trainer as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", required=True, help="file of benchmarks.contenders.pair_file")
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--pairs_at_once", type=int, default=8, help="pairs of a micro-batch (TRL's default)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with open(options.pairs, encoding="utf-8") as file:
        rows = json.load(file)["pairs"]
    columns = {"prompt_ids": "prompt", "chosen_ids": "chosen", "rejected_ids": "rejected"}
    data = Dataset.from_list([{name: row[key] for name, key in columns.items()} for row in rows])
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        trainer = TokenIdsTrainer(
            model=model,
            args=DPOConfig(
                output_dir=folder,
                per_device_train_batch_size=options.pairs_at_once,
                gradient_accumulation_steps=-(-len(rows) // options.pairs_at_once),
                max_steps=1,
                beta=1.0,
                bf16=True,
                max_length=None,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
            ),
            train_dataset=data,
            processing_class=AutoTokenizer.from_pretrained(options.model),
            peft_config=LoraConfig(r=8, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    longest = [max(len(r["prompt"]) + len(r[side]) for side in ("chosen", "rejected")) for r in rows]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "memory_above_model_bytes": (peak - idle) * 1024,
                "processed_tokens": sum(longest) * 2,
            }
        )
    )


if __name__ == "__main__":
    main()
