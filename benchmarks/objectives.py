"""Objectives compared: at equal generated tokens and at equal updates, each at its best learning rate.

    python -m benchmarks.objectives [--output runs/objectives] [--seeds '[0,1,2]'] [--only '[sigmoid,…]']

Two studies, so that a run that was stopped goes on where it was (docs/study.md):

1. `search`: every objective at every learning rate, on a part of the training problems that nothing else
   reads; then its flow on problems of the other part, which no test asks. The rate with the most right
   answers there is chosen.
2. `table`: every objective at that rate, once until it has generated `tokens` and once for `updates` batches,
   each on seeds of its own; then its flow on held-out problems, sampled. `<output>/table/report/` has the
   intervals.

The first is compared with each other one, problem by problem. Prints a JSON line an objective and kind of
equality: what the search found, held-out accuracy by seed, lessons (pairs, or groups whose returns differ) of
the whole run, problems, seconds of play and of learning a batch, and at the start the gradient's norm over
its spread by agent (`noise_batches` batches, without any step).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from csv import DictReader
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import auto_cli

from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule

GROUPS = {"model.exploration": "flowdpo_pl.NodeGroups"}


@dataclass(frozen=True)
class Compared:
    """An objective, as overrides of a config."""

    learning: Mapping[str, Any]
    single: bool = False
    """Whether one agent writes the whole answer."""
    batch_size: int = 32
    """Problems of an update."""


@dataclass(frozen=True)
class World:
    """What is learnt, whatever the objective."""

    config: str = "configs/quickstart.yaml"
    evaluate: str = "configs/quickstart_study/evaluate.yaml"
    problems: str = "quickstart/problems/train.jsonl"
    """To learn from."""
    base: str = "quickstart/model"
    chunk_tokens: int = 12
    max_chunks: int = 6
    searched: tuple[float, float] = (0.8, 1.0)
    """Part of the training problems that rates are chosen on."""
    learnt: tuple[float, float] = (0.0, 0.8)
    lrs: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2)
    overrides: dict[str, str] = field(default_factory=dict)
    """Of both configs, such as a verifier."""

    def fit(self, one: Compared) -> dict[str, Any]:
        """Overrides of `config`."""
        stream = {"data.shuffle": False, "data.batch_size": one.batch_size}
        return {**self.played(one), **one.learning, **stream}

    def played(self, one: Compared) -> dict[str, Any]:
        """Overrides of `config` and `evaluate`."""
        if one.single:
            limits = {"max_tokens": self.chunk_tokens * self.max_chunks}
        else:
            limits = {"chunk_tokens": self.chunk_tokens, "max_chunks": self.max_chunks}
        name = "flowdpo_pl.SingleFlow" if one.single else "flowdpo_pl.AnswerStopFlow"
        flow = {"model.team.flow": name, **{f"model.team.flow.{key}": n for key, n in limits.items()}}
        return {**flow, **self.overrides, "model.team.base.path": self.base}


def _loss(name: str, **arguments: Any) -> dict[str, Any]:
    keys = {f"model.learning.loss.{key}": value for key, value in arguments.items()}
    return {"model.learning.loss": f"flowdpo_pl.{name}", **keys}


OBJECTIVES = {
    "sigmoid": Compared(_loss("SigmoidLoss")),
    "ipo": Compared(_loss("IPOLoss")),
    "hinge": Compared(_loss("HingeLoss")),
    "sigmoid and nll": Compared(_loss("SigmoidNLLLoss")),
    "length-normalised": Compared(_loss("LengthNormalisedLoss")),
    "sigmoid, three alternatives": Compared(
        {
            **_loss("SigmoidLoss"),
            "model.exploration": "flowdpo_pl.NodeAlternatives",
            "model.exploration.each": 3,
        }
    ),
    "policy gradient": Compared({**_loss("PolicyGradient"), **GROUPS}),
    "policy gradient, 12 problems": Compared({**_loss("PolicyGradient"), **GROUPS}, batch_size=12),
    "clipped policy gradient": Compared({**_loss("ClippedPolicyGradient"), **GROUPS}),
    "grpo, single model": Compared(
        {
            **_loss("PolicyGradient", kl=0.01, advantage="flowdpo_pl.GroupNormalised"),
            **GROUPS,
            "model.exploration.draws": 8,
        },
        single=True,
    ),
}


def objectives(
    output: Path = Path("runs/objectives"),
    seeds: list[int] = [0, 1, 2],  # noqa: B006 (never changed)
    only: list[str] = [*OBJECTIVES],  # noqa: B006 (never changed)
    world: World = World(),
    search_tokens: int = 60_000,
    tokens: int = 100_000,
    updates: int = 20,
    held_out: int = 512,
    noise_batches: int = 8,
) -> None:
    """Search, learn, test; see the module.

    Args:
        output: the folder of both studies.
        seeds: of the table.
        only: names of objectives.
        world: what is learnt.
        search_tokens: generated in each run of the search.
        tokens: generated in each run of equal tokens.
        updates: batches of each run of equal updates.
        held_out: problems of a test.
        noise_batches: whose gradients are compared.
    """
    compared = {name: OBJECTIVES[name] for name in only}
    searches = {
        _stage(name, str(lr)): {
            "verb": "fit",
            "config": world.config,
            "arguments": {
                **world.fit(one), "data.train.part": [*world.searched], "model.learning.lr": lr,
                "model.max_problems": None, "model.max_generated_tokens": search_tokens,
            },
        }
        for name, one in compared.items() for lr in world.lrs
    }  # fmt: skip
    other_part = {
        "data.train.path": world.problems, "data.train.part": [*world.searched],
        "data.test.path": world.problems, "data.test.part": [*world.learnt],
    }  # fmt: skip
    tests = {
        _stage(name, str(lr), "test"): {
            "verb": "test",
            "config": world.evaluate,
            "arguments": {**_test(world, one, _stage(name, str(lr)), held_out), **other_part},
        }
        for name, one in compared.items() for lr in world.lrs
    }  # fmt: skip
    _study(output / "search", {**searches, **tests}, [1000], {})
    for name in searches:
        _require_whole(output / "search" / "seed1000" / name, "max_generated_tokens")
    found = {name: {lr: _found(output, name, lr) for lr in world.lrs} for name in compared}
    chosen = {name: max(right, key=lambda lr: right[lr]) for name, right in found.items()}
    stages: dict[str, Any] = {}
    tables: dict[str, dict[str, str]] = {}
    limits: dict[str, dict[str, Any]] = {
        "tokens": {"model.max_problems": None, "model.max_generated_tokens": tokens},
        "updates": {},
    }
    for kind, limit in limits.items():
        tables[f"equal {kind}, held-out problems, sampled at temperature 1"] = {}
        for name, one in compared.items():
            learnt, tested = _stage(name, kind), _stage(name, kind, "test")
            stages[learnt] = {
                "verb": "fit",
                "config": world.config,
                "arguments": {
                    **world.fit(one), "model.max_problems": one.batch_size * updates, **limit,
                    "data.train.part": [*world.learnt],
                    "model.learning.lr": chosen[name],
                },
            }  # fmt: skip
            arguments = _test(world, one, learnt, held_out)
            stages[tested] = {"verb": "test", "config": world.evaluate, "arguments": arguments}
            place = f"{{{tested}}}/test/predictions.jsonl"
            tables[f"equal {kind}, held-out problems, sampled at temperature 1"][f"{name}, {kind}"] = place
    first, *others = compared
    differences = [[f"{name}, {kind}", f"{first}, {kind}"] for kind in limits for name in others]
    _study(output / "table", stages, seeds, {"tables": tables, "differences": differences})
    for kind, ends in (("tokens", "max_generated_tokens"), ("updates", "max_problems")):
        for name in compared:
            for seed in seeds:
                _require_whole(output / "table" / f"seed{seed}" / _stage(name, kind), ends)
    for name, one in compared.items():
        noise = gradient_noise(world, one, noise_batches)
        for kind in limits:
            row = _row(output, name, kind, seeds, chosen[name], noise)
            print(json.dumps({**row, "search": found[name]}), flush=True)


def _require_whole(run: Path, ends: str) -> None:
    """What is called equal must be: a run that its problems ended has had less than the others."""
    told = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    if told["ended_by"] != ends:
        sys.exit(f"{run} ended by {told['ended_by']}, not by {ends}: give a smaller number of these.")


def _stage(*words: str) -> str:
    return "_".join(words).replace(", ", "_").replace(" ", "_").replace(".", "_").replace("-", "_")


def _test(world: World, one: Compared, learnt: str, held_out: int) -> dict[str, Any]:
    agents = ("answer",) if one.single else ("answer", "stop")
    return {
        **world.played(one),
        "model.sampling.temperature": 1.0,
        "data.test.limit": held_out,
        **{f"model.team.start.adapters.{agent}": f"{{{learnt}}}/adapters/last/{agent}" for agent in agents},
    }


def _study(folder: Path, stages: Mapping[str, Any], seeds: Sequence[int], report: Mapping[str, Any]) -> None:
    """Run what is not done yet."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"output": str(folder), "seeds": list(seeds), "stages": stages, "report": report or None}
    (folder / "study.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "flowdpo_pl", "study", "--config", str(folder / "study.yaml")]
    subprocess.run(command, check=True, stdout=sys.stderr)


def _found(output: Path, name: str, lr: float) -> float:
    """Share of right answers after a search."""
    summary = output / "search" / "seed1000" / _stage(name, str(lr), "test") / "test" / "summary.json"
    return float(json.loads(summary.read_text(encoding="utf-8"))["accuracy"])


def _row(
    output: Path, name: str, kind: str, seeds: Sequence[int], lr: float, noise: Mapping[str, float]
) -> dict[str, Any]:
    """What the runs of an objective say."""
    right, lessons, batches, seconds, problems, tokens = [], 0.0, 0, {"play": 0.0, "learn": 0.0}, [], []
    for seed in seeds:
        folder = output / "table" / f"seed{seed}"
        tested = json.loads((folder / _stage(name, kind, "test") / "test" / "summary.json").read_text())
        right.append(tested["accuracy"])
        with (folder / _stage(name, kind) / "metrics.csv").open(encoding="utf-8") as file:
            rows = list(DictReader(file))
        batches += len(rows)
        problems.append(float(rows[-1]["problems_seen"]))
        tokens.append(sum(float(row["generated_tokens"]) for row in rows))
        for row in rows:
            agents = [key.partition("/")[0] for key in row if key.endswith("/updates_set_aside")]
            for agent in agents:
                lessons += float(row.get(f"{agent}/groups_taught") or row[f"{agent}/pairs"])
            seconds["play"] += float(row["seconds/play"])
            seconds["learn"] += float(row["seconds/score"]) + float(row["seconds/update"])
    return {
        "objective": name,
        "equal": kind,
        "lr": lr,
        "held_out_accuracy": right,
        "problems": problems,
        "generated_tokens": tokens,
        "lessons_a_batch": lessons / batches,
        "seconds_a_batch": {what: value / batches for what, value in seconds.items()},
        "norm_over_spread": dict(noise),
    }


class _Kept:
    """An optimizer that makes no step and keeps the gradient."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self._parameters = parameters
        self.gradients: list[torch.Tensor] = []

    def step(self) -> None:
        parts = [p.grad.flatten() for p in self._parameters if p.grad is not None]
        self.gradients.append(torch.cat(parts).clone())

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self._parameters:
            parameter.grad = None


def gradient_noise(world: World, one: Compared, count: int) -> dict[str, float]:
    """By agent, the norm of the gradient over the root mean square of what single batches differ from it:
    above 1, a batch says more than chance.

    The mean of `count` gradients that are nothing but chance has a norm too, of the spread over the root of
    `count`: its square is taken off. NaN: nothing is left.
    """
    size = one.batch_size
    module, batches = _played(world, one, count)
    noise = {}
    for agent in module.learners:
        learning = replace(module.learning[agent], max_grad_norm=0.0)
        kept = _Kept(module.agents.parameters_of(agent))
        for trees in batches:
            mined = [one for one in learning.loss.mine(trees, 0.0) if one.agent == agent]
            module.learner.backward = torch.Tensor.backward
            module.learner.learn(agent, mined, learning, kept, 0, size)
        if len(kept.gradients) > 1:
            gradients = torch.stack(kept.gradients)
            mean = gradients.mean(0)
            spread = (gradients - mean).square().sum(1).sum() / (len(gradients) - 1)
            noise[agent] = float((mean.square().sum() / spread - 1 / len(gradients)).sqrt())
    return noise


def _played(world: World, one: Compared, count: int) -> tuple[FlowDPOModule, list[Any]]:
    from flowdpo_pl.cli import described

    settings = {**world.fit(one), "data.train.part": [*world.learnt]}
    given = [
        f"--{key}={json.dumps(value) if isinstance(value, list) else value}"
        for key, value in settings.items()
    ]
    told = described(["fit", f"--config={world.config}", *given])
    module = told.model
    assert isinstance(module, FlowDPOModule)
    told.datamodule.setup("fit")
    module.configure_model()
    stream = told.datamodule.streams["train"].batches()
    plays = (module.rollouts.play(next(stream)[: one.batch_size], module.exploration) for _ in range(count))
    return module, [play.trees for play in plays]


if __name__ == "__main__":
    auto_cli(objectives)
