"""The code of an exported model card, run by an interpreter that need not have flowdpo_pl: one side of
`benchmarks.exported`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any


def blocks(card: Path) -> list[str]:
    """The card's blocks of Python, in order."""
    return re.findall(r"^```python\n(.*?)^```$", card.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def names_of(folder: Path, numbers: list[int], base: str, agent: str = "") -> dict[str, Any]:
    """What the card's blocks define, run in the export's folder with the base that lies at `base`."""
    os.chdir(folder)
    names: dict[str, Any] = {}
    for number in numbers:
        text = re.sub(
            r'^base = ".*"', f"base = {base!r}", blocks(Path("README.md"))[number], flags=re.MULTILINE
        )
        if agent:
            text = re.sub(r'^agent = ".*"', f"agent = {agent!r}", text, flags=re.MULTILINE)
        exec(compile(text, f"README.md, block {number}", "exec"), names)
    return names


def main() -> None:
    """Answer requests, one JSON object a line: `ids` that the agent reads, `said`: tokens, or a word."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="the export")
    parser.add_argument("--base", required=True, help="where its base is")
    parser.add_argument("--blocks", required=True, help="numbers of blocks, such as 0,1")
    parser.add_argument("--agent", default="", help="whose model is loaded, where a process has one")
    parser.add_argument(
        "--requests", type=Path, required=True, help="jsonl with agent, question, said, own, chooses"
    )
    parser.add_argument("--output", type=Path, required=True, help="jsonl to write")
    options = parser.parse_args()
    requests = [json.loads(line) for line in options.requests.read_text(encoding="utf-8").splitlines()]
    output = options.output.resolve()
    names = names_of(options.folder, [*map(int, options.blocks.split(","))], options.base, options.agent)
    answers = []
    for request in requests:
        agent = request["agent"]
        ids = names["read"](agent, request["question"], request["said"], request["own"])
        answers.append({"ids": ids, "said": names["choose" if request["chooses"] else "write"](agent, ids)})
    output.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")


if __name__ == "__main__":
    main()
