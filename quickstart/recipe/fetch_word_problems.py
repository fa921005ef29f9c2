"""MAWPS, arithmetic word problems that people wrote, as `train.jsonl` and `valid.jsonl` of a folder.

`python -m quickstart.recipe.fetch_word_problems word_problems` takes MU-NLPC/Calc-mawps (MIT) from the hub.
"""

from __future__ import annotations

import json
from pathlib import Path

from jsonargparse import auto_cli

SPLITS = {"train": "train", "valid": "validation"}


def fetch(folder: Path, source: str = "MU-NLPC/Calc-mawps") -> None:
    """
    Args:
        folder: where the files go.
        source: the data set on the hub, or a folder with its files.
    """
    from datasets import load_dataset

    folder.mkdir(parents=True, exist_ok=True)
    for name, split in SPLITS.items():
        lines = [
            json.dumps({"question": row["question"], "answer": row["result"], "equation": row["expression"]})
            for row in load_dataset(source, split=split)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    auto_cli(fetch)
