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
from flowdpo_pl.play.rollouts import Play
from flowdpo_pl.play.team import Team
from flowdpo_pl.types import Agent, Problem
from flowdpo_pl.verify.verifier import Verifier


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

    def play(self, problems: Sequence[Problem], sample: int) -> Play:
        """One sample of each problem; sample 0 has the run's own draws."""
        rollouts = self.players.rollouts(self.sampling, self.verifier, self.draws.of_sample(sample))
        if self.swapped:
            rollouts.engine = SwappedEngine(rollouts.engine, self.swapped)
        return rollouts.play(problems)

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
