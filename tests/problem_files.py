"""Small data files for the tests of sources and streams."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path


def numbered(count: int) -> list[dict[str, object]]:
    """Rows with questions `q0`, `q1`, ... whose answers are their numbers."""
    return [{"question": f"q{n}", "answer": str(n)} for n in range(count)]


def write_jsonl(path: Path, rows: Iterable[object]) -> str:
    """Write one JSON line a row (packed where the name ends in .gz); a str is a line as it stands."""
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)
