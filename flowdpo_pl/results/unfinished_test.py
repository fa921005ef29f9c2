"""A test under way, on disk: how its answers are made, then one line for each problem that is done.

JSONL: first `{"made_by": …}`, then a list of `Prediction`s a line, all samples of one problem. One line a
problem, so that a problem is there whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.predictions import Prediction, prediction_of
from flowdpo_pl.results.provenance import require_same_provenance


def header(made_by: dict[str, Any]) -> str:
    """The file's first line, without its line break."""
    return json.dumps({"made_by": made_by}, ensure_ascii=False)


def problem_line(samples: Sequence[Prediction]) -> str:
    """One problem's line, without its line break."""
    return json.dumps([asdict(sample) for sample in samples], ensure_ascii=False)


def read_unfinished(path: Path, made_by: dict[str, Any]) -> dict[str, list[Prediction]]:
    """All samples of every problem of the file, by problem; nothing if the file has not got its header.

    Raises:
        UserError: the answers were made in another way, or a line is of another form.
    """
    done: dict[str, list[Prediction]] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                if number == 1:
                    then = dict(json.loads(line)["made_by"])
                else:
                    samples = [prediction_of(values) for values in json.loads(line)]
                    done[samples[0].problem_id] = samples
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                raise UserError(
                    f"{path}, line {number} is not from an unfinished test ({error!r}): remove the file."
                ) from error
            if number == 1:
                require_same_provenance(path, then, made_by)
    return done
