"""The verb `check`: a `fit` up to its start; its first problems are played and looked at, not learnt from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base_sample import base_sample
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.modules.start_check import Found, Level
from flowdpo_pl.results.run_course import RunCourse
from flowdpo_pl.visible import visible_line

_PLAYED = 32
"""Problems that are played."""


class Checked(Exception):
    """All was looked at; ends the trainer's run before anything is learnt."""

    def __init__(self, found: list[Found]) -> None:
        super().__init__()
        self.found = found


class FullCheck(Callback):
    """Takes the place of a run's callbacks: nothing is written.

    Args:
        folder: where the run would write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the module's own look, which would end the run at the first thing that is wrong."""
        assert isinstance(pl_module, FlowDPOModule)
        raise Checked(list(found_in(pl_module, self._folder)))


def found_in(module: FlowDPOModule, folder: Path) -> Iterator[Found]:
    """What is found of a module that is about to train, its first problems played."""
    stream = module.trainer.datamodule.streams["train"]  # type: ignore[attr-defined]
    chunk = list(islice((problem for batch in stream.batches() for problem in batch), stream.chunk_size))
    yield from module.look(chunk, folder)
    base = base_sample(module.agents)
    values = module.sample(chunk[:_PLAYED])
    if base_sample(module.agents) == base:
        yield Found(Level.GOOD, f"the base is as it was after play, digest {base} of sampled weights")
    else:
        yield Found(
            Level.WRONG, "play has changed the base; remove what changes it (other code in this process)"
        )
    chains = values["signs/chains"]
    told = f"{chains:.0f} problems played: {values['signs/right'] / chains:.0%} right, "
    told += f"{values['signs/marked'] / chains:.0%} of the answers carry a mark"
    if not math.isnan(values["choice_mass"]):
        told += f", the words to choose from have a probability of {values['choice_mass']:.3f} together"
    if values["signs/endings_right"]:
        yield Found(Level.GOOD, told)
    else:
        yield Found(
            Level.DOUBTFUL,
            f"{told}; none of their {values['signs/endings']:.0f} endings is right, "
            "and pairs come only where some are: look at the golds, the verifier, the prompts and the base",
        )
    course = RunCourse()
    course.add(values)
    for finding in course.findings(None):
        yield Found(Level.DOUBTFUL, f"{finding.sentence}; try: {finding.advice}")


def tell(found: Sequence[Found]) -> None:
    """Print a line each.

    Raises:
        UserError: something is wrong; says how much.
    """
    for one in found:
        print(f"{one.level:<5}  {visible_line(one.sentence)}")
    if wrong := sum(one.level is Level.WRONG for one in found):
        raise UserError(
            f"check: {wrong} of {len(found)} probes say that this run would be worth nothing; see above."
        )
