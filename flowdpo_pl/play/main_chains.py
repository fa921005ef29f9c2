"""Plays main chains alone, several samples of each problem, for whoever measures or collects them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flowdpo_pl.draws import Draws
from flowdpo_pl.model.lora import adapter_fingerprint
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.swapped import SwappedEngine
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.team import Team
from flowdpo_pl.types import Agent, Problem, RolloutTree
from flowdpo_pl.verify.verifier import Verifier


@dataclass(frozen=True)
class Answers:
    """What main chains alone came to."""

    trees: tuple[tuple[RolloutTree, ...], ...]
    """The samples of each problem."""
    seconds: float
    """Of play."""


@dataclass(frozen=True)
class MainChains:
    """Answers are a function of the seed, the problem and the number of the sample."""

    team: Team
    players: Players
    """The team, loaded."""
    sampling: Sampling
    verifier: Verifier
    draws: Draws
    swapped: tuple[Agent, ...] = ()
    """Agents whose moves go to another problem."""

    def play(self, problems: Sequence[Problem], samples: Sequence[int]) -> Answers:
        """These samples of each problem. Sample 0 has the run's own draws.

        As many answers are played together as there are problems, those of one problem next to each other, so
        that its question is read once. A swapped move needs other problems beside it: one sample of all.
        """
        rollouts = self.players.rollouts(self.sampling, self.verifier, self.draws)
        if self.swapped:
            rollouts.engine = SwappedEngine(rollouts.engine, self.swapped)
            asked = [(problem, sample) for sample in samples for problem in problems]
        else:
            asked = [(problem, sample) for problem in problems for sample in samples]
        trees: dict[str, list[RolloutTree]] = {problem.id: [] for problem in problems}
        seconds = 0.0
        for start in range(0, len(asked), len(problems)):
            together, numbers = zip(*asked[start : start + len(problems)], strict=True)
            play = rollouts.play(together, samples=numbers)
            seconds += play.seconds
            for tree in play.trees:
                trees[tree.problem.id].append(tree)
        return Answers(tuple(map(tuple, trees.values())), seconds)

    @cached_property
    def made_by(self) -> dict[str, Any]:
        """What the answers are a function of, besides the problems; JSON-able."""
        identity = self.players.identity()
        values = {
            "base": {**asdict(self.team.base), "fingerprint": identity["base"]},
            "adapters": {
                agent: adapter_fingerprint(Path(folder)) for agent, folder in self.team.start.adapters.items()
            },
            "flow": identity["flow"],
            "prompts": identity["prompts"],
            "sampling": asdict(self.sampling),
            "verifier": self.verifier.identity(),
            "seed": self.draws.seed,
            **({"swapped": list(self.swapped)} if self.swapped else {}),
        }
        known: dict[str, Any] = json.loads(json.dumps(values))
        return known
