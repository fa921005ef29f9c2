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
        UserError: both are given, the file can't be read, a line has no question, or there is none at all.
    """
    if question is not None and file is not None:
        raise UserError("a question and --file are both given: leave one of them out.")
    if question is not None:
        return _some(iter([question.strip()]), "the question is empty")
    if file is None:
        return _some(_typed(), "standard input has no question")
    if not file.is_file():
        raise UserError(f"--file {file} does not exist: give a text with a question a line, or a .jsonl.")
    rows = _rows(file) if file.name.lower().endswith(_ROWS) else _lines(file)
    return _some(rows, f"--file {file} has no question")


def _some(found: Iterator[str], none: str) -> Iterator[str]:
    """Those that say something, of which there must be one."""
    count = 0
    for question in found:
        if question:
            count += 1
            yield question
    if not count:
        raise UserError(f'{none}: give one, such as ask RUN "How many …?".')


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
        except (ValueError, TypeError, KeyError, RecursionError):
            question = None
        if not isinstance(question, str):
            raise UserError(f"{file}, line {number} is no object with a text under the key question.")
        yield question
