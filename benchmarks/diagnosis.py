"""Broken and healthy runs of the quickstart's model: what is said of each.

    python -m benchmarks.diagnosis [--problems 320] [--only NAME …] [--folder FOLDER]

Prints a JSON line a run: its name, the findings that would name it rightly (none for a healthy run), what
was said, and whether that is right: a broken run must get one of these, and nothing that is wrong of it; a
healthy run nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.boxes import last_box
from flowdpo_pl.verify.math_verifier import MathVerifier

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "quickstart" / "problems" / "train.jsonl"
_ROMAN = (("M", 1000), ("CM", 900), ("D", 500), ("CD", 400), ("C", 100), ("XC", 90), ("L", 50), ("XL", 40))
_ROMAN += (("X", 10), ("IX", 9), ("V", 5), ("IV", 4), ("I", 1))


class BoxVerifier(MathVerifier):
    """Wants a box, which no prompt asks for."""

    def compare(self, prediction: object, gold: object) -> Future[Verdict]:
        if last_box(str(prediction)) is None:
            return self._at_once(Verdict(False))
        return super().compare(prediction, gold)


class EasyVerifier(MathVerifier):
    """Is content with whatever is written: a base that is always right."""

    def compare(self, prediction: object, gold: object) -> Future[Verdict]:
        return super().compare(f"The answer is {gold}.", gold)


@dataclass(frozen=True)
class Run:
    """A config, and what may be said of it."""

    name: str
    arguments: tuple[str, ...]
    named_by: frozenset[str] = frozenset()
    """Findings of which one must be among those that are told; empty: it is healthy, and none may be."""

    def is_right(self, told: Sequence[str]) -> bool:
        return bool(self.named_by & set(told)) if self.named_by else not told


def roman(number: int) -> str:
    text = ""
    for sign, value in _ROMAN:
        text, number = text + sign * (number // value), number % value
    return text


def runs(folder: Path) -> list[Run]:
    """The runs; problems that they need are written to the folder."""
    rows = [json.loads(line) for line in TRAIN.read_text(encoding="utf-8").splitlines()]
    golds = {
        "roman": [roman(int(row["answer"])) for row in rows],
        "impossible": [str(1000 * int(row["answer"]) + 777) for row in rows],
    }
    for name, answers in golds.items():
        lines = (json.dumps(row | {"answer": gold}) for row, gold in zip(rows, answers, strict=True))
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    stop, flow = "--model.team.prompts.stop.user", "--model.team.flow.init_args"

    def broken(name: str, named_by: str, *arguments: str) -> Run:
        return Run(name, arguments, frozenset(named_by.split()))

    return [
        broken("lr 1e-6", "margins_still", "--model.learning.lr=1e-6"),
        broken("lr 1", "accuracy_falls", "--model.learning.lr=1"),
        broken(
            "always yes",
            "always_finished",
            f"{stop}={{question}} Draft: {{partial}} The answer is 63. Finished?",
            "--model.sampling.temperature=0.15",
        ),
        broken("never right", "never_right", f"--data.train.path={folder / 'impossible.jsonl'}"),
        broken("always right", "always_right", "--model.verifier=benchmarks.diagnosis.EasyVerifier"),
        broken("temperature 0.01", "certain_play", "--model.sampling.temperature=0.01"),
        broken("no mark", "no_mark", "--model.verifier=benchmarks.diagnosis.BoxVerifier"),
        broken(
            "gold of another format", "gold_of_another_kind", f"--data.train.path={folder / 'roman.jsonl'}"
        ),
        broken("chunks too short", "cut", f"{flow}.chunk_tokens=3", f"{flow}.max_chunks=3"),
        broken("frozen answer", "frozen", "--model.frozen=[answer]"),
        Run("quickstart", ()),
        Run("seed 1", ("--seed_everything=1",)),
        Run("seed 2", ("--seed_everything=2",)),
        Run("lr 1e-3", ("--model.learning.lr=1e-3",)),
        Run("lr 1e-2", ("--model.learning.lr=1e-2",)),
        Run("beta 0.1", ("--model.learning.loss.init_args.beta=0.1",)),
        Run("label smoothing", ("--model.learning.loss.init_args.label_smoothing=0.2",)),
        Run("whole trajectories", ("--model.exploration=flowdpo_pl.WholeTrajectories",)),
        Run("16 pairs an update", ("--model.pairs_per_update=16", "--model.learning.lr=1e-3")),
        Run("temperature 0.7", ("--model.sampling.temperature=0.7",)),
        Run("two chunks of 36", (f"{flow}.chunk_tokens=36", f"{flow}.max_chunks=2")),
        Run("any number counts", ("--model.verifier=flowdpo_pl.MathVerifier",)),
    ]


def said_of(run: Run, problems: int, folder: Path) -> dict[str, list[str]]:
    """Run it; the names of what its log said on the way, and of what its summary says."""
    name = run.name.replace(" ", "_")
    command = [sys.executable, "-m", "flowdpo_pl", "fit", "--config", "configs/quickstart.yaml"]
    command += [f"--trainer.logger.init_args.save_dir={folder}", f"--trainer.logger.init_args.name={name}"]
    command += [f"--model.max_problems={problems}", *run.arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": [done.stderr.strip().splitlines()[-1]]}
    summary = json.loads((folder / name / "summary.json").read_text(encoding="utf-8"))
    return {
        "log": re.findall(r"why it may not learn \((\w+)\)", done.stdout + done.stderr),
        "summary": [finding["name"] for finding in summary["findings"]],
        "sentences": [finding["sentence"] for finding in summary["findings"]],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", type=int, default=320)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for run in runs(folder):
            if not given.only or run.name in given.only:
                said = said_of(run, given.problems, folder)
                told = [*said.get("log", ["error"]), *said.get("summary", [])]
                result = {"run": run.name, "right": run.is_right(told), "named_by": sorted(run.named_by)}
                print(json.dumps(result | said), flush=True)


if __name__ == "__main__":
    main()
