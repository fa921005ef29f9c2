"""The numbers of one batch of play: which there are, and which of them add up over the batches of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any


def _summed(*names: str, **options: Any) -> Any:
    """A field whose numbers, in logs so named (`*` is any text), add up over batches."""
    return field(metadata={"summed": names}, **options)


@dataclass(frozen=True, kw_only=True)
class BatchNumbers:
    """What `training_step` and `validation_step` measure; docs/runs.md explains each number.

    A field that is not `_summed` holds latest values: running ones, shares, or counts of this batch alone.
    Mappings are by the numbers' names in logs; a single number has its field's name there.
    """

    accuracy: Mapping[str, float]
    """Of all problems of the first pass and of its latest ones (`ProgressiveAccuracy`)."""
    again: Mapping[str, float] = field(default_factory=dict)
    """Of this batch's problems where they were learnt from in an earlier pass; empty in the first one."""
    data_pass: float = 1.0
    """Of the batch's problems, from 1."""
    chooser: Mapping[str, float] = _summed(
        *(f"chooser/{name}" for name in ("nodes/*", "finished/*", "early", "late", "cut", "chains"))
    )
    """How often agents that choose said what, against what the partial answers held (`ChooserConfusion`)."""
    chooser_rates: Mapping[str, float]
    """The shares of these counts."""
    nodes: Mapping[str, float] = _summed("*/pairs", "*/ties/*")
    """Numbers of nodes by agent and outcome."""
    judging: Mapping[str, float] = _summed(
        "judged_answers", "judging_errors", "judging_timeouts", default_factory=dict
    )
    """Answers judged, and those without a verdict (`judging_counts`)."""
    unjudged: Mapping[str, float] = field(default_factory=dict)
    """The shares of answers without a verdict, and of rows without a gold answer."""
    signs: Mapping[str, float] = _summed("signs/*", default_factory=dict)
    """What the trees show of why a flow may not learn (`play_signs`)."""
    trees: Mapping[str, float]
    """The trees' other statistics (`tree_statistics`): shares by agent and by depth, lengths."""
    problems: float
    problems_seen: float
    generated_tokens: float = _summed("generated_tokens")
    generated_tokens_per_second: float
    choice_mass: float
    groups: Mapping[str, float] = _summed("*/groups", "*/groups_taught", default_factory=dict)
    """Numbers of groups by agent; empty where none learns from groups."""
    learning: Mapping[str, float] = field(default_factory=dict)
    """What else each agent's update measured; empty where nothing is learnt."""
    seconds: Mapping[str, float] = _summed("seconds/*")
    """Wall clock by phase: play, score, update."""
    peak_memory_bytes: float

    def with_learning(
        self, learnt: Mapping[str, Mapping[str, float]], peak_memory_bytes: float
    ) -> BatchNumbers:
        """The same batch after the updates.

        Args:
            learnt: what each agent's update measured, by agent and name; `score_seconds` and
                `update_seconds` among them.
            peak_memory_bytes: so far.
        """
        measured = {f"{agent}/{name}": value for agent in learnt for name, value in learnt[agent].items()}
        return replace(
            self,
            groups={name: value for name, value in measured.items() if is_summed(name)},
            learning={name: value for name, value in measured.items() if not is_summed(name)},
            seconds={
                "seconds/play": self.seconds["seconds/play"],
                "seconds/score": sum(numbers["score_seconds"] for numbers in learnt.values()),
                "seconds/update": sum(numbers["update_seconds"] for numbers in learnt.values()),
            },
            peak_memory_bytes=peak_memory_bytes,
        )

    def flat(self) -> dict[str, float]:
        """All numbers by their names in logs: what Lightning takes."""
        values: dict[str, float] = {}
        for known in fields(self):
            value = getattr(self, known.name)
            values |= value if isinstance(value, Mapping) else {known.name: value}
        return values


_SUMMED = [name for known in fields(BatchNumbers) for name in known.metadata.get("summed", ())]


def is_summed(name: str) -> bool:
    """Whether the number of this name adds up over batches; else a batch's value replaces the earlier one."""
    return any(fnmatchcase(name, pattern) for pattern in _SUMMED)
