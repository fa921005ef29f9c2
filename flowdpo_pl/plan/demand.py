"""What a module asks of a machine: who is loaded, who learns, what is played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowdpo_pl.learn.objective import Objective
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.types import Agent


@dataclass(frozen=True)
class Demand:
    """Of one module, whatever the base."""

    agents: tuple[Agent, ...]
    """That are loaded."""
    learners: tuple[Agent, ...]
    objectives: Mapping[Agent, Objective] = field(default_factory=dict)
    """What each learner learns from trees; empty where traces are learnt."""
    frozen_starts: int = 0
    """Agents whose start is kept beside them as their reference."""
    exploration: Exploration | None = None
    """What is played beside a problem's main chain; None: nothing is played at all."""
    samples: int = 1
    """Main chains of a problem at most."""
    batches: int = 1
    """Whose rows are learnt together."""
    most_problems: int | None = None
    """After which a run ends; None: with the data."""
