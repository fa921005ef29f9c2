"""A solver, and a critic who may send its answer back once, and who may take that back.

    python -m flowdpo_pl fit --config examples/flow.yaml

docs/flows.md builds this file line by line. Run from the repository's root.
"""

from __future__ import annotations

# part: names
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl import Choose, Flow, Move, Write

KEEP, REVISE = 0, 1  # which of the critic's words is which


# part: settings
@dataclass(frozen=True)
class ReviseOnceFlow(Flow):
    """Solver drafts, Critic keeps the draft or has it revised by a note; of two drafts it chooses one."""

    draft_tokens: int = 480
    """Tokens a draft has at most."""
    note_tokens: int = 48
    """Tokens a note has at most."""

    agents: ClassVar[tuple[str, ...]] = ("solver", "critic")
    writer: ClassVar[str] = "solver"

    # part: turn
    def turn(self, moves: Sequence[Move]) -> Write | Choose | None:
        if not moves:
            return Write("solver", self.draft_tokens)
        last = moves[-1]
        if last.agent == "solver":
            return Choose("critic")
        if last.option is None:  # the critic's note
            return Write("solver", self.draft_tokens)
        if last.option == KEEP or len(drafts(moves)) == 2:
            return None
        return Write("critic", self.note_tokens)

    # part: answer
    def answer(self, moves: Sequence[Move]) -> Sequence[Move]:
        """The latest draft; the first one if the critic does not keep the second."""
        both = drafts(moves)
        taken_back = len(both) == 2 and moves[-1].option == REVISE
        return both[:1] if taken_back else both[-1:]

    # part: continues
    def continues(self, agent: str, moves: Sequence[Move]) -> Sequence[Move]:
        """The note goes on from the word Revise; every draft begins anew."""
        return moves[-1:] if moves and agent == moves[-1].agent == "critic" else ()


# part: drafts
def drafts(moves: Sequence[Move]) -> Sequence[Move]:
    """What the solver has written, in order."""
    return [move for move in moves if move.agent == "solver"]
