"""Rows of a data set, read a chunk at a time from a local file, a folder of shards or the hub.

Two kinds. *Indexed* rows know where each row lies, so that the whole file is permuted while one
chunk is in memory. *Streamed* rows come in the source's order and are shuffled through a buffer
of chunks. Either order is a function of the seed and the rows alone.
"""

from __future__ import annotations

import glob
import hashlib
import os
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from flowdpo_pl.data.given_rows import require_a_place
from flowdpo_pl.data.indexed_rows import IndexedRows, Row, Rows, Shards
from flowdpo_pl.data.json_rows import JsonLines, json_rows
from flowdpo_pl.data.table_values import as_written, short_floats, table_rows
from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.model.hub import require_on_hub
from flowdpo_pl.suggestions import near_path

LOCAL_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
BUFFER_CHUNKS = 64
"""Chunks in the shuffle buffer of a stream: 10,240 rows at the default chunk size."""
_NO_DATA = re.compile(r"\..*|.*\.(md|txt|py|sh|ya?ml|lock|png|svg)|[A-Z]+|SHA256SUMS", re.IGNORECASE)
"""Names of files in a folder of shards that are there beside the data."""
_SPLIT = re.compile(r"(?<![a-z])(train|test|validation|valid|val|dev|eval)(?![a-z])", re.IGNORECASE)
_SAME_SPLIT = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "test"}


def open_rows(path: str, name: str | None = None, split: str = "train") -> Rows:
    """The rows of a local file, of a folder of shards in the order of their names, or of a hub data set.

    Args:
        path: `.jsonl`, `.json`, either as `.gz`, or `.parquet` file, a folder of them, or a hub id.
        name: configuration of the hub data set.
        split: split of the hub data set; of a folder whose files are named by split, which of them.

    Raises:
        UserError: the file or data set is missing, of an unknown kind, or cannot be read.
    """
    files = files_of(path, name, split)
    if files is None:
        require_on_hub("path", path, "dataset")
        return HubRows(path, name, split)
    rows = [_rows_of_file(file) for file in files]
    return Shards(rows) if Path(path).expanduser().is_dir() else rows[0]


def files_of(path: str, name: str | None = None, split: str = "train") -> list[Path] | None:
    """The local files that `open_rows` would read, in their order; None of a hub data set. Opens none.

    Raises:
        UserError: there is no such file or folder, it may not be read, or is of an unknown kind; or the path
            stands for rows that only the program of a run had.
    """
    require_a_place(path)
    if not names_a_file(path):
        return None
    file = Path(path).expanduser()
    require_exists(path)
    files = _shards(file, name, split) if file.is_dir() else [file]
    for one in files:
        if not os.access(one, os.R_OK):
            raise UserError(f"{one} may not be read by this user: change its permissions")
        if not one.name.lower().endswith(LOCAL_ENDINGS):
            raise UserError(
                f"{one} is no kind of file that can be read: use one of {', '.join(LOCAL_ENDINGS)}"
            )
    return files


def require_exists(path: str) -> None:
    """Refuse a path that means a local file or folder which is not there.

    Raises:
        UserError: names the path, and where it was looked for.
    """
    require_a_place(path)
    if names_a_file(path) and not Path(path).expanduser().exists():
        near = near_path(path)
        meant = f"did you mean {near}?" if near else "name an existing data file or a hub id"
        raise UserError(f"{path} does not exist (looked from {Path.cwd()}): {meant}")


def names_a_file(path: str) -> bool:
    """Whether `path` means a local file or folder; hub ids are `name` or `owner/name`."""
    return (
        path.lower().endswith(LOCAL_ENDINGS)
        or path.startswith((".", "/", "~"))
        or path.count("/") > 1
        or ("/" not in path and "." in path)
        or Path(path).exists()
    )


def _rows_of_file(file: Path) -> IndexedRows:
    lowered = file.name.lower()
    if lowered.endswith((".jsonl", ".jsonl.gz")):
        return JsonLines(file)
    return ParquetRows(file) if lowered.endswith(".parquet") else json_rows(file)


def _shards(folder: Path, name: str | None, split: str) -> list[Path]:
    """The shards that lie directly in a folder (in its folder `name`), in the order of their names."""
    if name is not None and not (folder := folder / name).is_dir():
        raise UserError(f"{folder} is no folder: set name to a folder in {folder.parent}, or leave it out")
    files = [
        file for file in sorted(folder.iterdir()) if file.is_file() and not _NO_DATA.fullmatch(file.name)
    ]
    if not files:
        raise UserError(f"{folder} is a folder without data files: name a file, or the folder they are in")
    kinds = {file.name: file.name.lower().removesuffix(".gz").rpartition(".")[2] for file in files}
    unknown = [name for name in kinds if not name.lower().endswith(LOCAL_ENDINGS)]
    if unknown or len(set(kinds.values())) > 1:
        raise UserError(
            f"{folder} is a folder of more than shards of one kind ({some_of(unknown or list(kinds), 3)}): "
            f"name one file, or leave only those of one kind there ({', '.join(LOCAL_ENDINGS)})"
        )
    splits = {file.name: _split_of(file.name) for file in files}
    if len(set(splits.values())) > 1:
        files = [file for file in files if splits[file.name] == _SAME_SPLIT.get(split, split)]
        if not files or None in splits.values():
            raise UserError(
                f"{folder} is a folder of several splits ({some_of(list(splits), 3)}), and it is not clear "
                f"which files are '{split}': name one file, or give each split a folder"
            )
    return files


def _split_of(name: str) -> str | None:
    """The split that a file's name tells."""
    found = [word.lower() for word in _SPLIT.findall(name)]
    return _SAME_SPLIT.get(found[0], found[0]) if found else None


class ParquetRows(IndexedRows):
    """A `.parquet` file through `datasets`, which memory-maps its own copy of it."""

    def __init__(self, path: Path) -> None:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError

        self._path = path
        try:
            # The default batch size fails on a file without rows.
            self._table = load_dataset(
                "parquet", data_files=glob.escape(str(path)), split="train", batch_size=1000
            )
        except (DatasetsError, OSError, ValueError, StopIteration) as error:
            reason = _first_line(error.__cause__ or error)
            raise UserError(f"{path} gives no table ({reason}): mend it, or convert it to .jsonl") from error
        self.total = len(self._table)
        with path.open("rb") as file:
            self.content = hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def read(self, indices: Sequence[int]) -> list[Row]:
        values = table_rows(self._table, indices)
        return [
            Row(f"{self._path}, row {index + 1}", row) for index, row in zip(indices, values, strict=True)
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
        self._short_floats = short_floats(getattr(self._stream, "features", None))

    def chunks(self, size: int, seed: int | None) -> Iterator[list[Row]]:
        chunks = _chunked(self._rows(), size)
        return chunks if seed is None else shuffled_through_buffer(chunks, size, random.Random(seed))

    def _rows(self) -> Iterator[Row]:
        from datasets.exceptions import DatasetsError

        number = 0
        try:
            for number, values in enumerate(self._stream, 1):
                yield Row(f"{self._label}, row {number}", as_written(dict(values), self._short_floats))
        except (DatasetsError, OSError, ValueError, RuntimeError) as error:  # other columns, or no network
            raise UserError(
                f"{self._label} breaks off after row {number} ({_first_line(error)}): "
                "mend the data set, or download its files and name one"
            ) from error


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


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
