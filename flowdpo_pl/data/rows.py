"""Rows of a data set, read a chunk at a time from a local file or from the hub.

Two kinds. *Indexed* rows know where each row lies, so that the whole file is permuted while one
chunk is in memory. *Streamed* rows come in the source's order and are shuffled through a buffer
of chunks. Either order is a function of the seed and the rows alone.
"""

from __future__ import annotations

import glob
import gzip
import json
import os
import random
import shutil
import tempfile
import weakref
import zlib
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from flowdpo_pl.errors import UserError

LOCAL_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".parquet")
BUFFER_CHUNKS = 64
"""Chunks in the shuffle buffer of a stream: 10,240 rows at the default chunk size."""
_IN_MEMORY_BYTES = 64 * 2**20  # a decompressed file above this goes to a temporary file


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read, and where it stands (`file:line`, or `data set, row n`; from 1)."""

    where: str
    values: dict[str, object]


class Rows(ABC):
    """The rows of one data set."""

    total: int | None
    """Number of rows, None when that is not known without reading them all."""

    @abstractmethod
    def chunks(self, size: int, seed: int | None) -> Iterator[list[Row]]:
        """All rows once, `size` at a time (the last chunk may be short).

        Args:
            size: rows in a chunk.
            seed: seed of the order; None keeps the source's order.
        """


def open_rows(path: str, name: str | None = None, split: str = "train") -> Rows:
    """The rows of a local file or of a hub data set.

    Args:
        path: `.jsonl`, `.jsonl.gz`, `.json` or `.parquet` file, or a hub id.
        name: configuration of the hub data set.
        split: split of the hub data set.

    Raises:
        UserError: the file or data set is missing, of an unknown kind, or cannot be read.
    """
    if not names_a_file(path):
        return HubRows(path, name, split)
    file = Path(path).expanduser()
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise UserError(f"{path} {what} (looked from {Path.cwd()}): name an existing data file or a hub id")
    if not os.access(file, os.R_OK):
        raise UserError(f"{path} may not be read by this user: change its permissions")
    lowered = file.name.lower()
    if lowered.endswith((".jsonl", ".jsonl.gz")):
        return JsonLines(file)
    if lowered.endswith((".json", ".parquet")):
        return TableRows(file)
    raise UserError(f"{path} is no kind of file that can be read: use one of {', '.join(LOCAL_ENDINGS)}")


def names_a_file(path: str) -> bool:
    """Whether `path` means a local file; hub ids are `name` or `owner/name`."""
    return (
        path.lower().endswith(LOCAL_ENDINGS)
        or path.startswith((".", "/", "~"))
        or path.count("/") > 1
        or ("/" not in path and "." in path)
        or Path(path).is_file()
    )


class IndexedRows(Rows):
    """Rows that can be read in any order: shuffling permutes the whole file."""

    total: int

    @abstractmethod
    def read(self, indices: Sequence[int]) -> list[Row]:
        """The rows at `indices` (from 0), in that order."""

    def chunks(self, size: int, seed: int | None) -> Iterator[list[Row]]:
        order = array("Q", range(self.total))
        if seed is not None:
            random.Random(seed).shuffle(order)
        for start in range(0, len(order), size):
            yield self.read(order[start : start + size])


class JsonLines(IndexedRows):
    """A `.jsonl` or `.jsonl.gz` file, of which only the offsets of the lines stay in memory.

    Every line is parsed once while it is indexed: a malformed one is reported before training
    starts instead of hours later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _decompressed(path) if path.suffix.lower() == ".gz" else path.open("rb")
        weakref.finalize(self, self._file.close)
        self._starts = array("Q")
        start = 0
        for line in self._file:
            self._parse(len(self._starts), line)
            self._starts.append(start)
            start += len(line)
        self.total = len(self._starts)

    def read(self, indices: Sequence[int]) -> list[Row]:
        rows = []
        for index in indices:
            self._file.seek(self._starts[index])
            rows.append(self._parse(index, self._file.readline()))
        return rows

    def _parse(self, index: int, line: bytes) -> Row:
        where = f"{self._path}:{index + 1}"
        if not line.strip():
            return Row(where, {})
        try:
            values = json.loads(line)
        except ValueError as error:  # malformed JSON, or bytes that are not UTF-8
            raise UserError(f"{where}: the line is not valid JSON ({error}): mend or remove it") from error
        if not isinstance(values, dict):
            kind = type(values).__name__
            raise UserError(f"{where}: the line is a JSON {kind}: make it an object with fields")
        return Row(where, values)


class TableRows(IndexedRows):
    """A `.json` or `.parquet` file through `datasets`, which memory-maps its own copy of it."""

    def __init__(self, path: Path) -> None:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError

        self._path = path
        kind = path.suffix.lower()[1:]
        # The default batch size fails on a .parquet file without rows.
        options = {"batch_size": 1000} if kind == "parquet" else {}
        try:
            self._table = load_dataset(kind, data_files=glob.escape(str(path)), split="train", **options)
        except (DatasetsError, OSError, ValueError, StopIteration) as error:
            reason = _first_line(error.__cause__ or error)
            raise UserError(f"{path} gives no table ({reason}): mend it, or convert it to .jsonl") from error
        self.total = len(self._table)

    def read(self, indices: Sequence[int]) -> list[Row]:
        columns = self._table[list(indices)]
        return [
            Row(f"{self._path}, row {index + 1}", {name: column[place] for name, column in columns.items()})
            for place, index in enumerate(indices)
        ]


class HubRows(Rows):
    """A hub data set as a stream: nothing is stored, and shuffling mixes 64 chunks at a time."""

    def __init__(self, path: str, name: str | None, split: str) -> None:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError

        self._label = f"{path} {split}"
        try:
            self._stream = load_dataset(path, name, split=split, streaming=True)
        except (DatasetsError, OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"{path} is neither a file here nor a data set that the hub gives "
                f"(configuration {name}, split {split}): {_first_line(error)}"
            ) from error
        info = (self._stream.info.splits or {}).get(split)
        self.total = info.num_examples if info is not None else None

    def chunks(self, size: int, seed: int | None) -> Iterator[list[Row]]:
        rows = (Row(f"{self._label}, row {n}", dict(values)) for n, values in enumerate(self._stream, 1))
        chunks = _chunked(rows, size)
        return chunks if seed is None else shuffled_through_buffer(chunks, size, random.Random(seed))


def shuffled_through_buffer(
    chunks: Iterable[list[Row]], size: int, rng: random.Random
) -> Iterator[list[Row]]:
    """Chunks of `size` rows drawn without replacement from a buffer of `BUFFER_CHUNKS` chunks."""
    buffer: list[Row] = []
    for chunk in chunks:
        buffer += chunk
        if len(buffer) >= BUFFER_CHUNKS * size:
            yield _draw(buffer, size, rng)
    while buffer:
        yield _draw(buffer, size, rng)


def _draw(buffer: list[Row], size: int, rng: random.Random) -> list[Row]:
    rng.shuffle(buffer)
    drawn = buffer[-size:]
    del buffer[-size:]
    return drawn


def _chunked(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _decompressed(path: Path) -> IO[bytes]:
    """The content of a gzip file, where one can seek."""
    plain = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 (its owner closes it)
    try:
        with gzip.open(path) as packed:
            shutil.copyfileobj(packed, plain)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is no whole gzip file ({error}): fetch or pack it again") from error
    plain.seek(0)
    return plain


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
