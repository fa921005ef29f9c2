"""Rows of JSON files, value by value as they are written: every digit, and no guess at what a text might be.

A number with a point or an exponent becomes a `Decimal`. What JSON leaves open is refused by its place: a key
that a row has twice, bytes that are not UTF-8, half a file.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from array import array
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from flowdpo_pl.data.indexed_rows import IndexedRows, Row, digest_of
from flowdpo_pl.data.packed_files import opened, without_mark
from flowdpo_pl.errors import UserError

_SPACE = " \t\r\n"


def each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object's values by key.

    Raises:
        ValueError: a key stands there twice; one of its values would be lost.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=each_key_once, parse_float=Decimal)


def json_value(text: str | bytes) -> object:
    """The value of a JSON text, exactly.

    Raises:
        ValueError: the text is not JSON or not UTF-8, or an object has a key twice.
    """
    if isinstance(text, bytes):
        text = without_mark(text).decode()
    return _DECODER.decode(text)


def json_rows(path: Path) -> IndexedRows:
    """The rows of a `.json` or `.json.gz` file: a list of objects, an object a line, or one of columns.

    Raises:
        UserError: the file is none of these.
    """
    with opened(path) as file:
        content = file.read()
    try:
        text = without_mark(content).decode()
        if text.lstrip(_SPACE).startswith("["):
            return JsonArray(path, text)
        values = json_value(text)
    except (ValueError, RecursionError) as error:
        if getattr(error, "msg", "") == "Extra data":
            return JsonLines(path)
        raise _no_table(path, error) from error
    return _Table(path, values)


class JsonLines(IndexedRows):
    """A file with a JSON object a line, packed by gzip or not; only the lines' offsets stay in memory.

    Every line is parsed once while it is indexed: a malformed one is reported before training
    starts instead of hours later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = opened(path)
        weakref.finalize(self, self._file.close)
        self._starts = array("Q")
        start = 0
        digest = hashlib.blake2b(digest_size=8)
        for line in self._file:
            self._parse(len(self._starts), line)
            digest.update(without_mark(line).rstrip(b"\r\n") + b"\n")
            self._starts.append(start)
            start += len(line)
        self.total = len(self._starts)
        self.content = digest.hexdigest()

    def read(self, indices: Sequence[int]) -> list[Row]:
        rows = []
        for index in indices:
            self._file.seek(self._starts[index])
            rows.append(self._parse(index, self._file.readline()))
        return rows

    def _parse(self, index: int, line: bytes) -> Row:
        where = f"{self._path}:{index + 1}"
        if not without_mark(line).strip():
            return Row(where, {})
        try:
            values = json_value(line)
        except (ValueError, RecursionError) as error:  # malformed JSON, or bytes that are not UTF-8
            raise UserError(f"{where}: the line is not valid JSON ({error}): mend or remove it") from error
        if not isinstance(values, dict):
            kind = type(values).__name__
            raise UserError(f"{where}: the line is a JSON {kind}: make it an object with fields")
        return Row(where, values)


class JsonArray(IndexedRows):
    """A JSON list of objects, of which the text and the objects' offsets stay in memory."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self.content = digest_of(text.encode())
        self._starts = array("Q")
        place = _past_space(text, 0) + 1
        while True:
            place = _past_space(text, place)
            if text.startswith("]", place) and not self._starts:
                break
            values, end = _DECODER.raw_decode(text, place)
            if not isinstance(values, dict):
                kind = type(values).__name__
                raise UserError(
                    f"{path}, row {len(self._starts) + 1} is a JSON {kind}: make it an object with fields"
                )
            self._starts.append(place)
            place = _past_space(text, end)
            if text.startswith("]", place):
                break
            if not text.startswith(",", place):
                raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
            place += 1
        if _past_space(text, place + 1) < len(text):
            raise json.JSONDecodeError("Something follows the list", text, place + 1)
        self.total = len(self._starts)

    def read(self, indices: Sequence[int]) -> list[Row]:
        rows = []
        for index in indices:
            values, _ = _DECODER.raw_decode(self._text, self._starts[index])
            rows.append(Row(f"{self._path}, row {index + 1}", values))
        return rows


class _Table(IndexedRows):
    """One JSON object: a single row, or a list for every column."""

    def __init__(self, path: Path, values: object) -> None:
        if not isinstance(values, dict):
            raise UserError(
                f"{path} holds a JSON {type(values).__name__}: make it a list of objects, or an object a line"
            )
        self._path = path
        columns = [value for value in values.values() if isinstance(value, list)]
        self._rows = [values]
        if columns and len(columns) == len(values):
            if len({len(column) for column in columns}) > 1:
                raise UserError(f"{path} has columns of different lengths: make it a list of objects")
            self._rows = [dict(zip(values, row, strict=True)) for row in zip(*columns, strict=True)]
        self.total = len(self._rows)
        self.content = digest_of(repr(values).encode(errors="surrogatepass"))

    def read(self, indices: Sequence[int]) -> list[Row]:
        return [Row(f"{self._path}, row {index + 1}", self._rows[index]) for index in indices]


def _past_space(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


def _no_table(path: Path, error: BaseException) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"{path} gives no table ({reason}): mend it, or convert it to .jsonl")
