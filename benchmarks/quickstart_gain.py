"""What the quickstart's training gains, on the same fresh problems with the same draws.

`python -m benchmarks.quickstart_gain --seeds 0 1 2 --out runs/gain` trains a flow for each seed, validates it
untrained and trained, sampled and greedy, prints the table of docs/quickstart.md, then one line of JSON. Runs
that `--out` holds already are not run again: remove it after a change.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from flowdpo_pl.cli import main as run_verb
from flowdpo_pl.results.tree_io import read_trees
from flowdpo_pl.types import STOP, Trajectory
from flowdpo_pl.verify.markers import extract_marked

CONFIG = "configs/quickstart.yaml"
FLOWS = ("untrained", "trained")
DECODINGS = {"sampled": 1, "greedy": 0}
"""Temperature by name."""
STOP_RATES = ("early_rate", "yes_rate/none", "yes_rate/wrong", "yes_rate/right", "cut_rate")


def run(verb: str, seed: int, folder: Path, *arguments: str) -> dict[str, Any]:
    """The summary of a run of the quickstart's config in `folder`, which is run if it isn't there."""
    written = folder if verb == "fit" else folder / verb
    if not (written / "summary.json").exists():
        print(f"--- {verb}, seed {seed}: {folder}", flush=True)
        options = {
            "config": CONFIG,
            "seed_everything": seed,
            "trainer.default_root_dir": folder,
            "trainer.logger.init_args.save_dir": folder.parent,
            "trainer.logger.init_args.name": folder.name,
        }
        run_verb([verb, *(f"--{key}={value}" for key, value in options.items()), *arguments])
    summary: dict[str, Any] = json.loads((written / "summary.json").read_text(encoding="utf-8"))
    if summary["ended"] != "finished":
        raise SystemExit(f"{folder} holds a run that ended by {summary['ended']}: remove the folder.")
    return summary


def validated(seed: int, folder: Path, temperature: int, *arguments: str) -> dict[str, Any]:
    """Shares on the validation problems: right answers, Stop's rates; and each problem's outcome."""
    summary = run(
        "validate",
        seed,
        folder,
        "--trainer.callbacks+=callbacks.TreeLog",
        f"--model.sampling.temperature={temperature}",
        *arguments,
    )
    chains = {tree.problem.id: tree.main for tree in read_trees(folder / "validate" / "trees.jsonl")}
    return {
        "accuracy": summary["progressive_accuracy"],
        **{name: summary["latest"][f"chooser/{name}"] for name in STOP_RATES},
        "cut_short": mean(map(cut_short, chains.values())),
        "outcomes": {problem: chain.correct for problem, chain in chains.items()},
    }


def cut_short(chain: Trajectory) -> bool:
    """Whether Stop's Yes ended an answer that stated no result yet, and so made it a wrong one."""
    return chain.moves[-1].agent == STOP and not chain.correct and extract_marked(chain.answer) is None


def gain(untrained: dict[str, bool], trained: dict[str, bool]) -> dict[str, float]:
    """Points gained on the same problems, with the 95 % interval of a paired difference."""
    differences = [100.0 * (trained[problem] - right) for problem, right in untrained.items()]
    radius = 1.96 * stdev(differences) / math.sqrt(len(differences))
    points = mean(differences)
    return {"points": points, "low": points - radius, "high": points + radius, "problems": len(differences)}


def measured(seed: int, out: Path) -> dict[str, Any]:
    """All numbers of one seed."""
    folder = out / f"seed{seed}"
    before = {
        name: validated(seed, folder / f"untrained_{name}", temperature)
        for name, temperature in DECODINGS.items()
    }
    fit = run("fit", seed, folder / "fit")
    checkpoint = f"--ckpt_path={folder / 'fit' / 'checkpoints' / 'last.ckpt'}"
    after = {
        name: validated(seed, folder / f"trained_{name}", temperature, checkpoint)
        for name, temperature in DECODINGS.items()
    }
    outcomes = {name: [flow[name].pop("outcomes") for flow in (before, after)] for name in DECODINGS}
    return {
        "seed": seed,
        "untrained": before,
        "trained": after,
        "gain": {name: gain(*both) for name, both in outcomes.items()},
        "fit_problems": fit["problems_seen"],
        "fit_pairs": fit["pairs"],
        "fit_seconds": round(fit["seconds"]["total"], 1),
    }


def print_table(seeds: list[dict[str, Any]]) -> None:
    """Accuracies by seed, then how Stop stops by seed, as Markdown; all in percent."""
    print("| seed | decoding | untrained | trained | gain, points (95 %) |")
    print("|---|---|---|---|---|")
    for row in seeds:
        for name in DECODINGS:
            accuracies = [f"{100 * row[flow][name]['accuracy']:.1f}" for flow in FLOWS]
            points = "{points:+.1f} ({low:.1f} to {high:.1f})".format(**row["gain"][name])
            print(f"| {row['seed']} | {name} | {' | '.join(accuracies)} | {points} |")
    print(f"\n| seed | flow, sampled | {' | '.join(STOP_RATES)} | cut short |")
    print("|---|---|---|" + "---|" * len(STOP_RATES))
    for row in seeds:
        for flow in FLOWS:
            sampled = row[flow]["sampled"]
            rates = [sampled[name] for name in (*STOP_RATES, "cut_short")]
            cells = ["none" if rate is None else f"{100 * rate:.1f}" for rate in rates]
            print(f"| {row['seed']} | {flow} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one training run each")
    parser.add_argument("--out", type=Path, default=Path("runs/gain"), help="folder of the runs")
    arguments = parser.parse_args()
    sys.argv[1:] = []  # they are not those of the verbs, and Lightning would warn of both
    seeds = [measured(seed, arguments.out) for seed in arguments.seeds]
    print_table(seeds)
    print(json.dumps({"least_gain": min(row["gain"]["sampled"]["points"] for row in seeds), "seeds": seeds}))


if __name__ == "__main__":
    main()
