"""One agent's prompt as a config gives it, and what goes into its places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowdpo_pl.errors import UserError

QUESTION, PARTIAL = "{question}", "{partial}"
_PLACE = re.compile(r"\{question\}|\{partial\}")
_MISSPELT = re.compile(r"\{\s*(?:question|partial)s?\s*\}", re.IGNORECASE)


@dataclass(frozen=True)
class AgentPrompt:
    """One agent's prompt: chat messages with `{question}` and, for a reader, `{partial}`."""

    user: str
    """User message. Must contain `{question}`; with `{partial}`, once, the agent reads the answer so far
    there, without it the agent continues the answer in its own turn."""
    system: str = ""
    """System message; empty for none. It is the same for every problem."""
    options: tuple[str, ...] = ()
    """The two words that an agent chooses from, each one token; the flow says what each means."""
    template_arguments: dict[str, Any] = field(default_factory=dict)
    """Extra arguments of the chat template, for example `enable_thinking: false`. `strftime_now` is the date
    that a template with a clock shows, as it stands."""

    def __post_init__(self) -> None:
        if QUESTION not in self.user:
            raise UserError(f"user {self.user!r} has no {{question}}: say where the problem goes.")
        if (marks := self.user.count(PARTIAL)) > 1:
            raise UserError(
                f"user {self.user!r} has {{partial}} {marks} times: the answer so far has one place."
            )
        for found in _MISSPELT.findall(self.user):
            if found not in (QUESTION, PARTIAL):
                raise UserError(f"user {self.user!r} has {found}: write {{question}} or {{partial}}.")
        if found := _MISSPELT.search(self.system):
            raise UserError(
                f"system {self.system!r} has {found[0]}, which is filled in in user messages alone: "
                "put it there."
            )
        if len(self.options) not in (0, 2):
            raise UserError(f"options {list(self.options)} must be two words, or none.")

    @property
    def reads_partial(self) -> bool:
        """Whether the answer so far stands in the user message."""
        return PARTIAL in self.user

    @property
    def places(self) -> list[str]:
        """`{question}` and `{partial}` in the user message, in order."""
        return _PLACE.findall(self.user)

    def filled(self, values: Mapping[str, str]) -> str:
        """The user message with values in its places; what looks like a place in a value is left alone."""
        return _PLACE.sub(lambda place: values[place[0]], self.user)
