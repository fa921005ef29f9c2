"""A flow as it is played, for people: each agent in its own colour; plain where there is no terminal.

What models and data say is shown with control characters as escapes, so that none steers the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowdpo_pl.results.predictions import Vote, told
from flowdpo_pl.types import Agent, Move
from flowdpo_pl.visible import visible, visible_line

if TYPE_CHECKING:
    from rich.text import Text

_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
_RESULT = "reads as"


def colours(agents: Sequence[Agent]) -> dict[Agent, str]:
    """Of each agent, by its place in the flow."""
    return {agent: _COLOURS[n % len(_COLOURS)] for n, agent in enumerate(agents)}


def words_of(move: Move) -> str:
    """What an agent wrote, or the word that it chose."""
    return move.text if move.option is None else f"chooses {move.text}"


class FlowScreen:
    """Prints on standard output.

    Args:
        agents: of the flow; the order gives their colours.
    """

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._colours = colours(agents)
        self._width = max(len(_RESULT), *(len(visible_line(agent)) for agent in agents))

    def question(self, question: str) -> None:
        self._line("", question, "", "bold")

    def sample(self, number: int, of: int) -> None:
        """Before one of several answers, from 1."""
        self._line("", f"answer {number} of {of}", "", "dim")

    def move(self, move: Move) -> None:
        """What an agent wrote, or the word that it chose."""
        colour = self._colours[move.agent]
        self._line(
            move.agent, words_of(move), f"bold {colour}", colour if move.option is None else f"bold {colour}"
        )

    def result(self, answer: str | None) -> None:
        """What is read in an answer."""
        self._line(_RESULT, answer if answer is not None else "(no answer is read in it)", "dim", "bold")

    def vote(self, vote: Vote, samples: int) -> None:
        """What several answers come to."""
        self._line("together", told(vote, samples), "dim", "bold")

    def _line(self, who: str, said: str, of_name: str, of_words: str) -> None:
        import rich
        from rich.text import Text

        indent = self._width + 2
        name = visible_line(who)
        words = visible(said.strip("\n")).replace("\n", "\n" + " " * indent)
        shown: Text = Text(f"{name:<{self._width}}  " if who else "", of_name)
        shown.append(words if who else visible(said), of_words)
        console = rich.get_console()
        console.print(shown, soft_wrap=True)
        console.file.flush()
