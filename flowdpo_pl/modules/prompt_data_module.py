"""Problems for a run: `PromptDataModule` composes sources, streams and the cursor for Lightning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from flowdpo_pl.data.cursor import Cursor, share
from flowdpo_pl.data.problem_source import ProblemSource, ProblemsPlace, source_of
from flowdpo_pl.data.problem_stream import ProblemStream
from flowdpo_pl.data.rows import files_of
from flowdpo_pl.distributed import rank, ranks
from flowdpo_pl.errors import COUNT, SEED, UserError, require_within
from flowdpo_pl.made_with import MadeWith
from flowdpo_pl.modules.batch_loader import Batch, batch_loader
from flowdpo_pl.modules.data_files import NamesFiles
from flowdpo_pl.modules.sources_read import NEVER_TESTED, OWN_SOURCE, sources_read
from flowdpo_pl.results.provenance import MEND_CHECKPOINT, require_same
from flowdpo_pl.types import Problem
from flowdpo_pl.verify.readable import is_readable_gold


@runtime_checkable
class AdmitsProblems(Protocol):
    """A LightningModule that knows which problems it can play."""

    def admit(self, problem: Problem) -> str | None:
        """Why the problem cannot be played, in a few fixed words (they are counted); None if it can."""


@runtime_checkable
class ReadsGolds(Protocol):
    """A LightningModule that knows which gold answers can be judged by."""

    def reads_gold(self, gold: str) -> bool: ...


class PromptDataModule(MadeWith, LightningDataModule, NamesFiles):
    """Streams problems from hub data sets or local files, a chunk of problems at a time.

    A batch is a list of `Problem`s, and under several ranks each gets its share of it. The
    training stream gives no problem twice in a pass: it goes on after the consumed ones, in a
    resumed run as in a further epoch. Only `train` is shuffled; the other sources are read in their own
    order, so that runs with different seeds are measured on the same problems. Where `test` is
    given, no question of it may be in `train` or `predict`.

    From Python a source may be the rows themselves, a list of dicts or a `datasets.Dataset` with the columns
    `question` and `answer`; `ProblemSource(rows, question_field=..)` names others.

    Args:
        train: source of the problems to learn from.
        validation: source for `validate` (and for validation during `fit`).
        test: source for `test`.
        predict: source for `predict`.
        chunk_size: problems read, shuffled and reported at a time (not the tokens of an answer's chunk,
            which are also 160 by default).
        batch_size: problems in a batch, over all ranks together; it may not exceed chunk_size.
        passes: how often `train` is gone through. Each pass has an order and draws of its own, and the last
            batch of a pass may be small.
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
        train: ProblemsPlace | None = None,
        validation: ProblemsPlace | None = None,
        test: ProblemsPlace | None = None,
        predict: ProblemsPlace | None = None,
        chunk_size: int = 160,
        batch_size: int = 32,
        passes: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        invalid: Literal["skip", "refuse"] = "skip",
    ) -> None:
        super().__init__()
        sizes = {"data.batch_size": batch_size, "data.chunk_size": chunk_size, "data.passes": passes}
        require_within(COUNT, sizes)
        require_within(SEED, {"data.seed": seed})
        if batch_size > chunk_size:
            raise UserError(
                f"data.batch_size {batch_size} exceeds data.chunk_size {chunk_size}: "
                f"set data.chunk_size to at least {batch_size}, or smaller batches"
            )
        given = {"train": train, "validation": validation, "test": test, "predict": predict}
        self.sources = {name: source_of(f"data.{name}", place) for name, place in given.items()}
        self.made_with |= self.sources
        self.chunk_size = chunk_size
        self.batch_size = batch_size
        self.passes = passes
        self.shuffle = shuffle
        self.seed = seed
        self.invalid = invalid
        self.admits: Callable[[Problem], str | None] | None = None
        """Why a problem cannot be played; set from the LightningModule if it `AdmitsProblems`."""
        self.reads_gold: Callable[[str], bool] = is_readable_gold
        """Whether a gold answer can be judged by; set from the LightningModule if it `ReadsGolds`."""
        self.streams: dict[str, ProblemStream] = {}
        self._cursor = Cursor()
        self._restored: dict[str, Any] = {}
        self._passes_given = 0
        self._given = 0  # problems of whole passes
        self._read_whole: set[str] = set()  # sources whose loader has come to its end

    @classmethod
    def require_files(cls, verb: str, arguments: Mapping[str, Any], validates: bool) -> None:
        given = {name: arguments.get(name) for name in OWN_SOURCE.values()}
        for name in sources_read(verb, given, validates):
            source = given[name]
            if source is not None:
                files_of(source["path"], source.get("name"), source.get("split") or "train")

    def setup(self, stage: str | None = None) -> None:
        """Open and check the sources of a stage (all that are given, without a stage).

        Raises:
            UserError: see `ProblemStream`; or the stage's own source is not given.
        """
        module = self.trainer.lightning_module if self.trainer is not None else None
        if isinstance(module, AdmitsProblems):
            self.admits = module.admit
        if isinstance(module, ReadsGolds):
            self.reads_gold = module.reads_gold
        names = tuple(self.sources)
        if stage is not None:
            names = sources_read(TrainerFn(stage).value, self.sources, self._validates)
        opened: dict[str, ProblemStream] = {}
        held_out: set[str] = set()
        if (test := self.sources["test"]) is not None and "test" in names:
            opened["test"] = self._open("test", test)
            held_out = opened["test"].questions()
        for name in names:
            if name != "test" and (source := self.sources[name]) is not None:
                opened[name] = self._open(name, source, held_out if name in NEVER_TESTED else None)
        played = names if stage is None else (OWN_SOURCE[stage], "validation" if stage == "fit" else "")
        self.streams |= {name: stream for name, stream in opened.items() if name in played}

    @property
    def consumed(self) -> int:
        """Training problems that are done with, those of a run that was taken up included."""
        return self._cursor.consumed

    @property
    def _validates(self) -> bool:
        """Whether a `fit` will ask for validation batches."""
        return self.trainer is None or self.trainer.limit_val_batches != 0

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
            readable=self.reads_gold,
        )

    # What the training loop tells and asks.

    @property
    def pass_number(self) -> int:
        """The pass, from 1, of the training batch that is to be consumed next."""
        return self._cursor.pass_number

    def ended(self, name: str) -> bool:
        """Whether all of a source was given, and, of `train`, consumed."""
        return self._cursor.ended if name == "train" else name in self._read_whole

    def problems_expected(self, name: str) -> int | None:
        """At most so many problems come from a source, over all its passes; None if nobody knows.

        The number falls as rows are left out, and is right at the end.
        """
        stream = self.streams.get(name)
        if stream is None or stream.total is None:
            return None
        return stream.total if name != "train" else self._given + self._passes_to_come * stream.total

    @property
    def _passes_to_come(self) -> int:
        """The running pass included."""
        return self.passes - self._passes_given

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

    # Loaders. They have no length, and Lightning neither shards nor fast-forwards them.

    def train_dataloader(self) -> DataLoader[Batch]:
        self._check_identity()
        return batch_loader(self._training_shares)

    def _training_shares(self) -> Iterator[Batch]:
        """What was consumed is compared first: where that differs, it says more than a digest of all rows."""
        shares = self._cursor.give(self._training_batches(), rank(), ranks())
        for number, mine in enumerate(shares):
            if number == 0 and self._restored:
                then, now = ({"data.train": rows} for rows in (self._restored["rows"], self._rows()))
                require_same("the checkpoint", then, now, MEND_CHECKPOINT)
            yield mine

    def _training_batches(self) -> Iterator[tuple[int, Batch]]:
        """All batches of all passes, each with the number of its pass."""
        stream = self.streams["train"]
        self._given = self._passes_given = 0
        for number in range(1, self.passes + 1):
            given = 0
            for batch in stream.batches(number):
                given += len(batch)
                yield number, batch
            self._given += given
            self._passes_given = number

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        return self._evaluation_loader("validation") if "validation" in self.streams else []

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self._evaluation_loader("predict")

    def _evaluation_loader(self, name: str) -> DataLoader[Batch]:
        return batch_loader(lambda: self._shares(name))

    def _shares(self, name: str) -> Iterator[Batch]:
        self._read_whole.discard(name)
        for batch in self.streams[name].batches():
            yield share(batch, rank(), ranks())
        self._read_whole.add(name)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Problems stay on the host (Lightning's default refuses frozen dataclasses)."""
        return batch

    # Resuming. Plain values only: a checkpoint loads with `weights_only=True`.

    def state_dict(self) -> dict[str, Any]:
        """The cursor, and what the order of the training problems depends on."""
        if "train" not in self.streams:
            return {}
        return {**self._cursor.state_dict(), "identity": self._identity(), "rows": self._rows()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a cursor; the next `train_dataloader` checks that it belongs to this source.

        Not at once, because `validate --ckpt_path` loads it too and may read anything.
        """
        self._restored = dict(state_dict)
        others = ("identity", "rows")
        self._cursor = Cursor(**{name: value for name, value in state_dict.items() if name not in others})

    def _identity(self) -> dict[str, Any]:
        stream = self.streams["train"]
        where = ("path", "name", "split") if self._rows() is None else ()
        return {
            **{f"data.train.{name}": getattr(stream.source, name) for name in where},
            **{f"data.train.{name}": value for name, value in stream.source.identity().items()},
            "data.chunk_size": self.chunk_size,
            "data.batch_size": self.batch_size,
            "data.shuffle": self.shuffle,
            "data.seed": self.seed,
        }

    def _rows(self) -> str | None:
        """What the rows of a local source are, wherever they lie; None of a hub data set."""
        return self.streams["train"].content

    def _check_identity(self) -> None:
        if self._restored:
            require_same("the checkpoint", self._restored["identity"], self._identity(), MEND_CHECKPOINT)
