"""A problem with several right answers: its gold answer is a JSON list of texts."""

from __future__ import annotations

import json


def golds_of(gold: str) -> tuple[str, ...]:
    """The right answers of `["Paris", "the city of Paris"]`; of any other text, this text alone."""
    if gold.lstrip().startswith("["):
        try:
            golds = json.loads(gold)
        except (ValueError, RecursionError):
            return (gold,)
        if isinstance(golds, list) and golds and all(isinstance(one, str) for one in golds):
            return tuple(golds)
    return (gold,)
