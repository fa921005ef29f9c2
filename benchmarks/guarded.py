"""Parts of a benchmark that must not take the others down: each prints one line of JSON, whatever happens."""

from __future__ import annotations

import gc
import json
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch


class Guarded:
    """Runs parts until the time is up; their results so far are at hand."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: parts that would begin later are left out."""
        self._end = time.perf_counter() + seconds
        self.results: dict[str, dict[str, Any]] = {}

    @property
    def left(self) -> float:
        """Seconds until the time is up."""
        return self._end - time.perf_counter()

    def run(self, name: str, part: Callable[[], dict[str, Any]], needs: float = 0.0) -> None:
        """Run a part that takes about `needs` seconds; print what it measured, or how it failed."""
        started = time.perf_counter()
        if self.left < needs:
            result: dict[str, Any] = {"left_out": f"{self.left:.0f} s were left"}
        else:
            try:
                result = part()
            except Exception as error:
                result = {"failed": str(error)[:500], "traceback": traceback.format_exc()[-4000:]}
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        result["part_seconds"] = time.perf_counter() - started
        self.results[name] = result
        print(json.dumps({"part": name, **result}), flush=True)

    def ratio(self, above: str, below: str, what: str) -> float | None:
        """Of two parts' numbers; None where one of them has none."""
        one, other = (self.results.get(name, {}).get(what) for name in (above, below))
        return one / other if one and other else None
