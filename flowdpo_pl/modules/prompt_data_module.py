"""Problems for a run: `PromptDataModule` composes sources, streams and the cursor for Lightning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader, IterableDataset

from flowdpo_pl.data.cursor import Cursor, share
from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.data.problem_stream import ProblemStream
from flowdpo_pl.data.rows import names_a_file
from flowdpo_pl.distributed import rank, ranks
from flowdpo_pl.errors import COUNT, SEED, UserError, require_within
from flowdpo_pl.results.provenance import MEND_CHECKPOINT, require_same
from flowdpo_pl.types import Problem

Batch: TypeAlias = list[Problem]

_SOURCES_OF_STAGE = {
    "fit": ("train", "validation"),
    "validate": ("validation",),
    "test": ("test",),
    "predict": ("predict",),
}

_NEVER_TESTED = ("train", "predict")
_BATCHES = {
    "validation": "limit_val_batches",
    "test": "limit_test_batches",
    "predict": "limit_predict_batches",
}
"""What limits the trainer's batches of a source; training is limited by its module."""


@runtime_checkable
class AdmitsProblems(Protocol):
    """A LightningModule that knows which problems it can play."""

    def admit(self, problem: Problem) -> str | None:
        """Why the problem cannot be played, in a few fixed words (they are counted); None if it can."""


class PromptDataModule(LightningDataModule):
    """Streams problems from hub data sets or local files, a chunk of problems at a time.

    A batch is a list of `Problem`s, and under several ranks each gets its share of it. The
    training stream gives no problem twice: it goes on after the consumed ones, in a resumed run
    as in a further epoch. Only `train` is shuffled; the other sources are read in their own
    order, so that runs with different seeds are measured on the same problems. Where `test` is
    given, no question of it may be in `train` or `predict`.

    Args:
        train: source of the problems to learn from.
        validation: source for `validate` (and for validation during `fit`).
        test: source for `test`.
        predict: source for `predict`.
        chunk_size: problems read, shuffled and reported at a time (not the tokens of an answer's chunk,
            which are also 160 by default).
        batch_size: problems in a batch, over all ranks together; it may not exceed chunk_size.
        shuffle: permute the training problems (a local file as a whole, a hub stream through a
            buffer of 64 chunks).
        seed: seed of the training order.
        invalid: what to do with a row that is empty, answerless, without a gold answer that the verifier
            can read, or too long: `skip` (and count and report it) or `refuse` (stop and name it).

    Raises:
        UserError: a size is not positive, or a batch does not fit in a chunk.
    """

    def __init__(
        self,
        train: ProblemSource | None = None,
        validation: ProblemSource | None = None,
        test: ProblemSource | None = None,
        predict: ProblemSource | None = None,
        chunk_size: int = 160,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        invalid: Literal["skip", "refuse"] = "skip",
    ) -> None:
        super().__init__()
        require_within(COUNT, {"data.batch_size": batch_size, "data.chunk_size": chunk_size})
        require_within(SEED, {"data.seed": seed})
        if batch_size > chunk_size:
            raise UserError(
                f"data.batch_size {batch_size} exceeds data.chunk_size {chunk_size}: "
                f"set data.chunk_size to at least {batch_size}, or smaller batches"
            )
        self.sources = {"train": train, "validation": validation, "test": test, "predict": predict}
        self.chunk_size = chunk_size
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.invalid = invalid
        self.admits: Callable[[Problem], str | None] | None = None
        """Why a problem cannot be played; set from the LightningModule if it `AdmitsProblems`."""
        self.streams: dict[str, ProblemStream] = {}
        self._cursor = Cursor()
        self._restored: dict[str, Any] = {}

    def setup(self, stage: str | None = None) -> None:
        """Open and check the sources of a stage (all that are given, without a stage).

        Raises:
            UserError: see `ProblemStream`; or the stage's own source is not given.
        """
        module = self.trainer.lightning_module if self.trainer is not None else None
        if isinstance(module, AdmitsProblems):
            self.admits = module.admit
        names = _SOURCES_OF_STAGE[stage] if stage is not None else tuple(self.sources)
        if stage is not None and self.sources[names[0]] is None:
            raise UserError(f"{stage} needs data.{names[0]}: set data.{names[0]}.path to a hub id or a file")
        held_out: set[str] = set()
        if (test := self.sources["test"]) is not None and stage != "validate":
            held_out = self._open("test", test).questions()
        for name in names:
            if (source := self.sources[name]) is not None:
                self.streams[name] = self._open(name, source, held_out if name in _NEVER_TESTED else None)
        if stage == "test":
            for name in _NEVER_TESTED:
                if (source := self.sources[name]) is not None and names_a_file(source.path):
                    self._open(name, source, held_out)

    def _open(self, name: str, source: ProblemSource, held_out: set[str] | None = None) -> ProblemStream:
        return ProblemStream(
            source,
            key=f"data.{name}",
            chunk_size=self.chunk_size,
            batch_size=self.batch_size,
            seed=self.seed if self.shuffle and name == "train" else None,
            refuse=self.invalid == "refuse",
            admit=lambda problem: self.admits(problem) if self.admits is not None else None,
            report=rank_zero_info,
            held_out=held_out or frozenset(),
        )

    # What the training loop tells and asks.

    def mark_consumed(self, batch: Batch) -> None:
        """Count a training batch as done; `batch` is what the loader gave to this rank."""
        self._cursor.mark_consumed(batch)

    @property
    def skipped(self) -> Counter[str]:
        """Rows skipped so far, by reason, over all sources."""
        return sum((stream.skipped for stream in self.streams.values()), Counter())

    def unreadable_gold_rate(self, name: str) -> float:
        """Share of a source's problems so far that have no gold answer that can be read; nan without any."""
        stream = self.streams.get(name)
        return (
            stream.unreadable_golds / stream.problems_met if stream and stream.problems_met else float("nan")
        )

    def problems_expected(self, name: str) -> int | None:
        """About how many problems of a source the running verb plays; None if nobody knows."""
        stream = self.streams.get(name)
        batches = getattr(self.trainer, _BATCHES[name]) if name in _BATCHES else None
        counts = [
            stream.expected if stream is not None else None,
            batches * self.batch_size if isinstance(batches, int) else None,
        ]
        return min((count for count in counts if count is not None), default=None)

    # Loaders. They have no length, and Lightning neither shards nor fast-forwards them.

    def train_dataloader(self) -> DataLoader[Batch]:
        self._check_identity()
        stream = self.streams["train"]
        return _loader(lambda: self._cursor.give(stream.batches(), rank(), ranks()))

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        return self._evaluation_loader("validation") if "validation" in self.streams else []

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self._evaluation_loader("predict")

    def _evaluation_loader(self, name: str) -> DataLoader[Batch]:
        stream = self.streams[name]
        return _loader(lambda: (share(batch, rank(), ranks()) for batch in stream.batches()))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Problems stay on the host (Lightning's default refuses frozen dataclasses)."""
        return batch

    # Resuming. Plain values only: a checkpoint loads with `weights_only=True`.

    def state_dict(self) -> dict[str, Any]:
        """The cursor, and what the order of the training problems depends on."""
        if self.sources["train"] is None:
            return {}
        return {
            "consumed": self._cursor.consumed,
            "last_id": self._cursor.last_id,
            "identity": self._identity(self.sources["train"]),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a cursor; the next `train_dataloader` checks that it belongs to this source.

        Not at once, because `validate --ckpt_path` loads it too and may read anything.
        """
        self._restored = state_dict
        self._cursor = Cursor(state_dict["consumed"], state_dict["last_id"])

    def _identity(self, source: ProblemSource) -> dict[str, Any]:
        return {
            "data.train.path": source.path,
            "data.train.name": source.name,
            "data.train.split": source.split,
            "data.train.question_field": source.question_field,
            "data.train.grouping": type(source.grouped_by()).__name__,
            "data.train.part": source.part,
            "data.chunk_size": self.chunk_size,
            "data.batch_size": self.batch_size,
            "data.shuffle": self.shuffle,
            "data.seed": self.seed,
        }

    def _check_identity(self) -> None:
        source = self.sources["train"]
        if source is None or not self._restored:
            return
        require_same("the checkpoint", self._restored["identity"], self._identity(source), MEND_CHECKPOINT)


class _Batches(IterableDataset[Batch]):
    """An iterable over batches that are already cut; each iteration asks anew."""

    def __init__(self, batches: Callable[[], Iterator[Batch]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return self._batches()


def _loader(batches: Callable[[], Iterator[Batch]]) -> DataLoader[Batch]:
    # No worker processes: a read-ahead in another process could not be told what was consumed.
    return DataLoader(_Batches(batches), batch_size=None, num_workers=0, collate_fn=_unchanged)


def _unchanged(batch: Batch) -> Batch:
    return batch
