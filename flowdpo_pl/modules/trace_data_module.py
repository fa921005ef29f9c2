"""Traces for a run: `TraceDataModule` reads trace files and gives the correct ones, epoch after epoch."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info

from flowdpo_pl.data.questions import question_key
from flowdpo_pl.distributed import rank, ranks
from flowdpo_pl.errors import COUNT, LIMIT, SEED, UserError, require_within, some_of
from flowdpo_pl.made_with import MadeWith
from flowdpo_pl.modules.data_files import NamesFiles
from flowdpo_pl.results.provenance import MEND_CHECKPOINT, require_same
from flowdpo_pl.results.traces import Trace, read_traces, require_trace_file

Batch: TypeAlias = list[Trace]


@runtime_checkable
class ReadsTraces(Protocol):
    """A LightningModule that knows how long a trace is for its model."""

    def longest(self) -> int:
        """Longest trace with its question that the model reads, in tokens."""
        ...

    def tokens_of(self, trace: Trace) -> int:
        """Length of the trace with its question."""
        ...


@runtime_checkable
class NotesTraces(Protocol):
    """A LightningModule that says how traces become tokens."""

    def note_on(self, trace: Trace) -> str:
        """What is to be said of one, the same words for all that share it; empty for most."""
        ...


class TraceDataModule(MadeWith, LightningDataModule, NamesFiles):
    """The correct traces of files, in batches; `trainer.max_epochs` says how often (paper: 3).

    Every epoch has an order of its own, a function of the seed. A batch is a list of `Trace`s; under
    several ranks each gets its share of it. Validation traces keep their order.

    Args:
        train: trace files (.jsonl or .parquet, of `predict`) to learn from.
        validation: trace files to measure the loss on.
        batch_size: traces in a batch, over all ranks together.
        max_tokens: longer traces, with their question, are skipped and counted; null: the model's context.
        limit: at most so many training traces, the first; null: all.
        shuffle: permute the training traces, anew in every epoch.
        seed: seed of the training order; linked to `seed_everything`.

    Raises:
        UserError: a size is not positive.
    """

    def __init__(
        self,
        train: list[str],
        validation: list[str] | None = None,
        batch_size: int = 8,
        max_tokens: int | None = None,
        limit: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_within(COUNT, {"data.batch_size": batch_size})
        require_within(LIMIT, {"data.max_tokens": max_tokens, "data.limit": limit})
        require_within(SEED, {"data.seed": seed})
        if not train:
            raise UserError("data.train names no file: give at least one trace file.")
        self.files = {"train": train, "validation": validation or []}
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        self.limit = limit
        self.shuffle = shuffle
        self.seed = seed
        self.counts: dict[str, Counter[str]] = {}
        """How many traces are `used` and how many are not and why, by `train` and `validation`; then how many
        of those used become other tokens than one would think."""
        self._traces: dict[str, list[Trace]] = {}
        self._batches_consumed = 0
        self._restored: dict[str, Any] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read and check all files.

        Raises:
            UserError: see `read_traces`; a file holds no correct trace, no trace is short enough, or a
                question is in both training and validation.
        """
        if self._traces:
            return
        module = self.trainer.lightning_module if self.trainer is not None else None
        correct: dict[str, list[Trace]] = {}
        for name, files in self._files_read().items():
            self.counts[name] = Counter()
            correct[name] = [trace for file in files for trace in self._correct(name, Path(file))]
        _require_disjoint(correct["train"], correct["validation"])
        for name, files in self.files.items():
            traces = correct[name]
            self._traces[name] = self._short(name, traces, module)[: self.limit if name == "train" else None]
            self.counts[name]["used"] = len(self._traces[name])
            if isinstance(module, NotesTraces):
                self.counts[name].update(filter(None, map(module.note_on, self._traces[name])))
            if files:
                told = ", ".join(f"{number} {why}" for why, number in self.counts[name].items() if number)
                rank_zero_info(f"data.{name}: {told}")

    def _files_read(self) -> dict[str, list[str]]:
        """Those that the run will read: of a `fit` that does not validate, the training's alone."""
        unread = self.trainer is not None and self.trainer.limit_val_batches == 0
        return {"train": self.files["train"], "validation": [] if unread else self.files["validation"]}

    @classmethod
    def require_files(cls, verb: str, arguments: Mapping[str, Any], validates: bool) -> None:
        for name in ("train", "validation") if validates else ("train",):
            for file in arguments.get(name) or ():
                require_trace_file(Path(file))

    def mark_consumed(self) -> None:
        """Count a training batch as done."""
        self._batches_consumed += 1

    # Loaders, without worker processes: there is nothing to load.

    def train_dataloader(self) -> Iterable[Batch]:
        self._check_identity()
        return _Batches(self._batches_to_come, self._batches_an_epoch)

    def val_dataloader(self) -> Iterable[Batch]:
        batches = _cut(self._traces["validation"], self.batch_size)
        return _Batches(lambda: iter(batches), len(batches)) if batches else []

    @property
    def _batches_an_epoch(self) -> int:
        return math.ceil(len(self._traces["train"]) / self.batch_size)

    def _batches_to_come(self) -> Iterator[Batch]:
        """This rank's share of the training batches that are not consumed yet, without end.

        Lightning counts how many make an epoch, also after a resume in the middle of one.
        """
        epoch, first = divmod(self._batches_consumed, self._batches_an_epoch)
        for number in count(epoch):
            order = list(self._traces["train"])
            if self.shuffle:
                random.Random(f"{self.seed}, epoch {number}").shuffle(order)
            yield from _cut(order, self.batch_size)[first:]
            first = 0

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Traces stay on the host (Lightning's default refuses frozen dataclasses)."""
        return batch

    # Resuming. Plain values only: a checkpoint loads with `weights_only=True`.

    def state_dict(self) -> dict[str, Any]:
        """The batches consumed, and what the order of the traces depends on."""
        return {"batches_consumed": self._batches_consumed, "identity": self._identity()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a position; `train_dataloader` checks that it belongs to these traces."""
        self._restored = state_dict
        self._batches_consumed = state_dict["batches_consumed"]

    def _identity(self) -> dict[str, Any]:
        traces = self._traces["train"]
        digest = hashlib.blake2b(digest_size=8)
        for trace in traces:
            digest.update(repr((trace.question, trace.trace, trace.token_ids)).encode())
        return {
            "data.train": f"{len(traces)} traces with digest {digest.hexdigest()}",
            "data.batch_size": self.batch_size,
            "data.shuffle": self.shuffle,
            "data.seed": self.seed,
        }

    def _check_identity(self) -> None:
        if self._restored:
            require_same("the checkpoint", self._restored["identity"], self._identity(), MEND_CHECKPOINT)

    # Which traces count.

    def _correct(self, name: str, file: Path) -> list[Trace]:
        traces = read_traces(file)
        correct = [trace for trace in traces if trace.correct]
        if not correct:
            raise UserError(
                f"data.{name}: {file} holds no correct trace among {len(traces)}: "
                "collect with more attempts, or name another file."
            )
        self.counts[name]["not correct"] += len(traces) - len(correct)
        return correct

    def _short(self, name: str, traces: Sequence[Trace], module: object) -> list[Trace]:
        if not isinstance(module, ReadsTraces):
            return list(traces)
        longest = min(self.max_tokens or module.longest(), module.longest())
        short = [trace for trace in traces if module.tokens_of(trace) <= longest]
        if traces and not short:
            raise UserError(
                f"data.{name}: all {len(traces)} correct traces are longer than {longest} tokens with their "
                "questions: raise data.max_tokens, or take a model with a longer context."
            )
        self.counts[name]["too long"] += len(traces) - len(short)
        return short


def _require_disjoint(train: Sequence[Trace], validation: Sequence[Trace]) -> None:
    """Refuse questions that are in both, by id or by text."""
    ids = {trace.problem_id for trace in train}
    questions = {question_key(trace.question) for trace in train}
    both = [t.problem_id for t in validation if t.problem_id in ids or question_key(t.question) in questions]
    if both:
        raise UserError(
            f"{len(both)} problems of data.validation are in data.train too, by id or by question: "
            f"{some_of(both)}; take them out of one of the two."
        )


def _cut(traces: Sequence[Trace], size: int) -> list[Batch]:
    """This rank's share of each batch of `size`, perhaps none."""
    return [list(traces[start : start + size][rank() :: ranks()]) for start in range(0, len(traces), size)]


@dataclass(frozen=True)
class _Batches:
    """What Lightning needs of a loader. It neither shards it over ranks nor fast-forwards it."""

    start: Callable[[], Iterator[Batch]]
    length: int
    """Batches of an epoch."""

    def __iter__(self) -> Iterator[Batch]:
        return self.start()

    def __len__(self) -> int:
        return self.length
