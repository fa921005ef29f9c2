r"""Keeps every problem that was answered wrongly, with what was said: `wrong.jsonl` in the run folder.

    python -m flowdpo_pl fit --config configs/quickstart.yaml \
        --trainer.callbacks+=examples.callback.WrongAnswers

A callback reads what was played and changes nothing: training with it is bit-identical.
"""

from __future__ import annotations

import json

from callbacks.files.batch_log import cut_to
from callbacks.watching.batch_values import BatchValues
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.results.atomic_writes import append_lines
from flowdpo_pl.results.json_text import json_text


class WrongAnswers(PlayCallback):
    """Appends a line for each main chain whose answer is wrong."""

    files = ("wrong.jsonl",)
    """Its own: two callbacks that write the same file are refused."""

    def play_started(self, module: PlayedModule, seen: int) -> None:
        """A resumed run plays some problems again: their lines are cut off."""
        cut_to(self.folder / "wrong.jsonl", seen, lambda line: int(json.loads(line)["problems_seen"]))

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        wrong = [tree for tree in module.trees if not tree.main.correct]
        lines = (
            json_text(
                {
                    "problems_seen": module.problems_seen,
                    "id": tree.problem.id,
                    "question": tree.problem.question,
                    "gold": tree.problem.gold,
                    "said": [f"{move.agent}: {move.text}" for move in tree.main.moves],
                }
            )
            for tree in wrong
        )
        append_lines(self.folder / "wrong.jsonl", lines)
