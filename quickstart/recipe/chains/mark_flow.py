"""The paper's flow with one more rule: an answer that has come to its mark is finished."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flowdpo_pl import AnswerStopFlow, Choose, Move, Write

_MARK = re.compile(r"answer is \w+ ?\.")


@dataclass(frozen=True)
class MarkedAnswerStopFlow(AnswerStopFlow):
    """Answer and Stop, who is not asked behind the chunk that holds the mark: nothing rewards writing on."""

    def turn(self, moves: Sequence[Move]) -> Write | Choose | None:
        turn = super().turn(moves)
        if isinstance(turn, Choose) and _MARK.search(" ".join(move.text for move in self.answer(moves))):
            return None
        return turn
