"""What lies in an offline run of W&B: its file is a log of protocol buffers in LevelDB's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, 7


def history(folder: Path) -> list[dict[str, Any]]:
    """Rows of all processes of the one run below a run's folder, in their order."""
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for file in files
        for record in records(file)
        if record.HasField("history")
    ]


def records(file: Path) -> list[Any]:
    """The whole records of a file."""
    content, at, parts, found = file.read_bytes(), _FILE_HEADER, b"", []
    while at + _HEADER <= len(content):
        if _BLOCK - at % _BLOCK < _HEADER:
            at += _BLOCK - at % _BLOCK
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts += content[at + _HEADER : at + _HEADER + size]
        at += _HEADER + size
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found
