r"""Worked solutions put together from a row's columns, as traces for fine-tuning.

    python -m flowdpo_pl ground_truth --config configs/quickstart_study/ground_truth.yaml \
        --output runs/answers_alone --solution=examples.solution.FromColumns \
        --solution.template="The answer is {gold}."

This template leaves the work out: a control that shows what fine-tuning on answers alone is worth. For rows
that hold the work and the answer apart, the default joins them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowdpo_pl import Solution
from flowdpo_pl.data.solutions import NoSolutionError


@dataclass(frozen=True)
class FromColumns(Solution):
    """A text with places for columns."""

    template: str = "{rationale} The answer is {gold}."
    """What is written: `{column}` is a column's value, `{gold}` the right answer as it was read."""

    def __call__(self, row: Mapping[str, Any], gold: str) -> str:
        """
        Raises:
            NoSolutionError: the row lacks a column; it is listed in left_out.jsonl with this reason.
        """
        told = {name: value for name, value in row.items() if value not in (None, "")}
        try:
            return self.template.format_map({**told, "gold": gold})
        except KeyError as error:
            raise NoSolutionError(f"no {error.args[0]}") from None
