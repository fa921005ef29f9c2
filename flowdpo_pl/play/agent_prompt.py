"""One agent's prompt as a config gives it, and what goes into its places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeAlias

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Agent

Place: TypeAlias = str
"""`{question}`, `{partial}`, `{agent}` or `{agent.all}`, agent being one of the flow's."""
QUESTION: Place = "{question}"
PARTIAL: Place = "{partial}"
_ALL = ".all"
_LIKE_A_PLACE = re.compile(r"(?<![A-Za-z\\])\{\s*([A-Za-z_][\w-]*)(\.all)?\s*\}")
"""Not right behind a letter: `\\boxed{answer}` is LaTeX."""


@dataclass(frozen=True)
class AgentPrompt:
    """One agent's prompt: chat messages with places for the question and for what was said."""

    user: str
    """User message. `{question}` is the problem, `{partial}` the answer so far, `{name}` the latest words of
    the agent of that name, `{name.all}` all of its words; what nobody has said yet is empty. Words that the
    agent goes on from (`Flow.continues`) and that stand in no such place begin its own turn."""
    system: str = ""
    """System message; empty for none. It is the same for every problem."""
    options: tuple[str, ...] = ()
    """The words that an agent chooses from, each one token; the flow says what each means."""
    template_arguments: dict[str, Any] = field(default_factory=dict)
    """Extra arguments of the chat template, for example `enable_thinking: false`. `strftime_now` is the date
    that a template with a clock shows, as it stands."""

    def __post_init__(self) -> None:
        for text in (self.user, self.system):
            self._require_spelt(text, ("question", "partial"))
        if not _LIKE_A_PLACE.search(self.user) and QUESTION not in self.user:
            raise UserError(f"user {self.user!r} has no {{question}}: say where the problem goes.")
        self._require_none_in_system((QUESTION, PARTIAL))
        if len(self.options) == 1:
            raise UserError(f"options {list(self.options)} must be two words or more, or none.")

    def places(self, agents: Sequence[Agent]) -> list[Place]:
        """The places in the user message, in order, for a flow of these agents.

        Raises:
            UserError: a place is misspelt or stands in the system message, or there is none.
        """
        found = self._pattern(agents).findall(self.user)
        for text in (self.user, self.system):
            self._require_spelt(text, agents)
        self._require_none_in_system([place_of(agent) for agent in agents])
        if not found:
            raise UserError(
                f"user {self.user!r} has no {{question}} and no words of {list(agents)}: say where the "
                "problem goes."
            )
        return found

    def filled(self, values: Mapping[Place, str]) -> str:
        """The user message with values in its places; what looks like a place in a value is left alone."""
        pattern = re.compile("|".join(_guarded(place) for place in values))
        return pattern.sub(lambda place: values[place[0]], self.user)

    def _pattern(self, agents: Sequence[Agent]) -> re.Pattern[str]:
        own = [place_of(agent, all_) for agent in agents for all_ in (False, True)]
        return re.compile("|".join(map(_guarded, (QUESTION, PARTIAL, *own))))

    def _require_spelt(self, text: str, names: Sequence[str]) -> None:
        for match in _LIKE_A_PLACE.finditer(text):
            name, all_ = match[1], match[2] or ""
            right = [
                known for known in names if known.lower() in (name.lower(), name.lower().removesuffix("s"))
            ]
            close = right or get_close_matches(name, names, 1, cutoff=0.85)
            if not close:
                continue
            place = place_of(close[0], bool(all_) and close[0] not in ("question", "partial"))
            if match[0] != place:
                raise UserError(f"{text!r} has {match[0]}: write {place}.")

    def _require_none_in_system(self, places: Sequence[Place]) -> None:
        pattern = re.compile("|".join(map(_guarded, places)))
        if found := pattern.search(self.system):
            raise UserError(
                f"system {self.system!r} has {found[0]}, which is filled in in user messages alone: "
                "put it there."
            )


def place_of(agent: Agent, all_words: bool = False) -> Place:
    """Where an agent's latest words go, or all of them."""
    return f"{{{agent}{_ALL if all_words else ''}}}"


def agent_of(place: Place) -> tuple[Agent, bool]:
    """Whose words go there, and whether all of them do."""
    name = place[1:-1]
    return name.removesuffix(_ALL), name.endswith(_ALL)


def _guarded(place: Place) -> str:
    """A pattern that finds the place where it is one."""
    return re.escape(place) if place in (QUESTION, PARTIAL) else rf"(?<![A-Za-z\\]){re.escape(place)}"
