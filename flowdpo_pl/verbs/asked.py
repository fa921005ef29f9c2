"""The questions that `ask` puts: one of the command line, those of a file, or lines as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError

_ROWS = (".jsonl", ".jsonl.gz")


def questions(question: str | None, file: Path | None) -> Iterator[str]:
    """The questions in their order; those of standard input, one a line, if neither is given.

    Args:
        question: the only one.
        file: of lines, each a question, or (.jsonl) each an object with the key `question`.

    Raises:
        UserError: both are given, the file can't be read, or a line has no question.
    """
    if question is not None and file is not None:
        raise UserError("a question and --file are both given: leave one of them out.")
    if question is not None:
        return iter([question])
    if file is None:
        return _typed()
    if not file.is_file():
        raise UserError(f"--file {file} does not exist: give a text with a question a line, or a .jsonl.")
    return _rows(file) if file.name.lower().endswith(_ROWS) else _lines(file)


def _typed() -> Iterator[str]:
    if sys.stdin.isatty():
        print("a question a line; Ctrl-D ends", file=sys.stderr)
    return (line for line in map(str.strip, sys.stdin) if line)


def _lines(file: Path) -> Iterator[str]:
    return (line.strip() for _, line in text_lines(file) if line.strip())


def _rows(file: Path) -> Iterator[str]:
    for number, line in text_lines(file):
        if not line.strip():
            continue
        try:
            question = json.loads(line)["question"]
        except (ValueError, TypeError, KeyError):
            question = None
        if not isinstance(question, str):
            raise UserError(f"{file}, line {number} is no object with a text under the key question.")
        yield question
