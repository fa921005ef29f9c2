"""What a finished run is, whatever happened on the way: its files, but for times, memory and pictures."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

_CHANGES = re.compile(
    r"second|memory|started|directory|resumed|\bversion|^completed$|^_batches_that_stepped$|^command$"
)
"""Keys whose values are another run's by right: two are Lightning's counts of batches, which it raises in the
middle of a batch's end, and the command of a study's stage that goes on names its checkpoint."""


_SECONDS = re.compile(r"\n#+ seconds\n.*?(?=\n#|\Z)", re.DOTALL)
"""Of a study's report, what its stages took."""


_BY_LINES = (".jsonl", ".csv", ".txt", ".log")


def contents(folder: Path) -> dict[str, Any]:
    """Every file below the folder, by its path, as what must be equal."""
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    empty = [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())]
    found = {str(path.relative_to(folder)): _content(path) for path in files}
    return found | {f"{path.relative_to(folder)}/": "empty" for path in empty}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Where two such contents differ, in words."""
    told = [f"{name} is missing" for name in one.keys() - other.keys()]
    told += [f"{name} is left over" for name in other.keys() - one.keys()]
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name]:
            told += [f"{name}: {where}" for where in _places(one[name], other[name])][:3]
    return sorted(told)


def broken(folder: Path) -> list[str]:
    """Files under a final name that are not whole; logs may end within a line."""
    found = []
    for path in sorted(folder.rglob("*")):
        partial = any(part.endswith(".partial") for part in path.relative_to(folder).parts)
        if path.is_dir() or partial or path.suffix in _BY_LINES or path.name == "run.json":
            continue
        try:
            _require_whole(path)
        except Exception as error:
            found.append(f"{path.relative_to(folder)}: {error!r}"[:200])
    return found


def _require_whole(path: Path) -> None:
    if path.suffix == ".ckpt":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
    elif path.suffix == ".png":
        from PIL import Image

        Image.open(path).load()
    else:
        _content(path)
        assert path.stat().st_size


def _content(path: Path) -> Any:
    if path.suffix == ".ckpt":
        return _lasting(torch.load(path, weights_only=True, map_location="cpu"))
    if path.suffix == ".json":
        return _lasting(json.loads(path.read_text()))
    if path.suffix == ".csv":
        with path.open(newline="") as rows:
            return [_lasting(row) for row in csv.DictReader(rows)]
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return _lasting(load_file(path))
    if path.suffix == ".parquet":
        import pyarrow.parquet as parquet

        return _lasting(parquet.read_table(path).to_pylist())
    if path.suffix == ".png":
        return "a picture"
    if path.name == "log.txt" or path.suffix == ".log":
        return "a log"
    if path.name == "report.md":
        return _SECONDS.sub("", path.read_text())
    return path.read_bytes()


def _lasting(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {str(key): _lasting(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if not _CHANGES.search(key)}
    if isinstance(value, list | tuple):
        return [_lasting(inner) for inner in value]
    if isinstance(value, torch.Tensor):
        content = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(content).hexdigest()}"
    return repr(value) if isinstance(value, float) else value  # NaN is not equal to itself


def _places(one: Any, other: Any, at: str = "") -> list[str]:
    """Keys that lead to what differs."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [
            place
            for key in keys
            if one.get(key) != other.get(key)
            for place in _places(one.get(key), other.get(key), f"{at}.{key}")
        ]
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return [f"{at} has {len(other)} for {len(one)}"]
        return [
            place
            for n, (a, b) in enumerate(zip(one, other, strict=True))
            if a != b
            for place in _places(a, b, f"{at}[{n}]")
        ]
    if isinstance(one, bytes) and isinstance(other, bytes):
        a, b = one.splitlines(), other.splitlines()
        return [f"{len(b)} lines for {len(a)}, others from line {_first_other(a, b)}"]
    return [f"{at} is {str(other)[:60]} for {str(one)[:60]}"]


def _first_other(a: list[bytes], b: list[bytes]) -> int:
    return next(
        (n for n, pair in enumerate(zip(a, b, strict=False), 1) if pair[0] != pair[1]),
        min(len(a), len(b)) + 1,
    )
