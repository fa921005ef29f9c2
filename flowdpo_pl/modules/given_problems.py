"""What a module may ask of the problems that it is given; they may come from loaders that tell nothing."""

from __future__ import annotations

from dataclasses import dataclass

from lightning.pytorch import Trainer

from flowdpo_pl.modules.prompt_data_module import PromptDataModule


@dataclass(frozen=True)
class GivenProblems:
    """One source of a run's data module."""

    data: PromptDataModule | None
    """None: the trainer has another data module, or loaders alone."""
    source: str
    """Its name there: `train`, `validation`, `test` or `predict`."""

    @classmethod
    def of(cls, trainer: Trainer | None, source: str) -> GivenProblems:
        data = getattr(trainer, "datamodule", None)
        return cls(data if isinstance(data, PromptDataModule) else None, source)

    @property
    def expected(self) -> int | None:
        """At most so many problems come; None if nobody knows."""
        return self.data.problems_expected(self.source) if self.data is not None else None

    def within(self, batches: int | float) -> int | None:
        """Problems in as many batches; None if nobody knows, and of a share (a float) nobody does."""
        if self.data is None or not isinstance(batches, int):
            return None
        return batches * self.data.batch_size

    @property
    def pass_number(self) -> int:
        """The pass, from 1, of the training batch that is to be consumed next."""
        return self.data.pass_number if self.data is not None else 1

    @property
    def ended(self) -> bool:
        """Whether all were given, and learnt from where they are to be; loaders alone have always ended."""
        return self.data is None or self.data.ended(self.source)

    @property
    def unreadable_gold_rate(self) -> float:
        """Share of those met that have no gold answer that can be read; nan if nobody knows."""
        return self.data.unreadable_gold_rate(self.source) if self.data is not None else float("nan")

    def first_chunk(self, otherwise: int) -> int:
        """Problems after which it is looked at how many answers could be judged."""
        return self.data.chunk_size if self.data is not None else otherwise


def fewest(*numbers: int | None) -> int | None:
    """The least of those that are known; None if none is."""
    return min((number for number in numbers if number is not None), default=None)
