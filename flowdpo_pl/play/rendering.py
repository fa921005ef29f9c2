"""An agent's prompt through the model's chat template: rendered once around marks, and checked.

What a template leaves out, doubles or takes from a clock would be trained on without a word, so a sample is
rendered when the team is loaded: it must hold the system message and every place of the user message, in the
order of the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.agent_prompt import QUESTION, AgentPrompt, Place
from flowdpo_pl.types import Agent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_OWN_ARGUMENTS = ("chat_template", "documents", "tools")  # of `apply_chat_template`
_DATE = "date_that_a_prompt_shows"
_CLOCK = (  # before the template: its own clock, in a form that every version of transformers lets through
    "{%- macro strftime_now(format) -%}{{ "
    f"{_DATE} if {_DATE} is defined else raise_exception('strftime_now')"
    " }}{%- endmacro -%}"
)
_THINKING = re.compile(r"[<\[][^<>\[\]\s/]*(?:think|thought|reason)[^<>\[\]\s/]*[>\]]", re.IGNORECASE)
_THOUGHT = re.compile(r"[<\[]/[^<>\[\]\s]*(?:think|thought|reason)[^<>\[\]\s]*[>\]]", re.IGNORECASE)


class Rendering:
    """One agent's prompt, rendered by the tokenizer's chat template."""

    def __init__(
        self, agent: Agent, prompt: AgentPrompt, tokenizer: PreTrainedTokenizerBase, agents: Sequence[Agent]
    ) -> None:
        """`agents`: of the flow, whose words the prompt may show.

        Raises:
            UserError: the template refuses the messages, drops or doubles a part of them, reads a clock,
                knows no such argument, or opens a thought before a choice.
        """
        self._agent = agent
        self._prompt = prompt
        self._tokenizer = tokenizer
        self._source = self._template_source()
        self._arguments = self._template_arguments()
        places = prompt.places(agents)
        self._places = list(dict.fromkeys(places))
        self._check_messages(places)
        self._check_arguments()
        self.spliced = tuple(place for place in places if place != QUESTION)
        """The places where token ids go, in order."""
        self.parts = self._between_marks()
        """The text before, between and behind them, each cut where the question goes."""
        self._check_thinking()

    def of(self, question: str) -> tuple[str, ...] | None:
        """What the template makes of this question, before, between and behind the places of token ids.

        None where it refuses the question or moves a place.
        """
        marks = self._marks(beside=question)
        try:
            text = self._render(self._messages(self._prompt.filled({**marks, QUESTION: question})))
        except UserError:
            return None
        parts, found = _cut(text, {mark: place for place, mark in marks.items() if place != QUESTION})
        return parts if found == self.spliced else None

    def assistant_turn(self) -> tuple[str, str]:
        """What stands between a user's and an assistant's message, and behind the latter, to the end.

        Raises:
            UserError: the template shows no assistant's turn.
        """
        asked, said = self._mark(0), self._mark(1)
        user = self._prompt.filled(dict.fromkeys(self._places, "x"))
        messages = [*self._messages(user + asked), {"role": "assistant", "content": said}]
        try:
            text = self._render(messages, turn_follows=False)
        except UserError:  # some templates want a user's message last
            text = self._render([*messages, {"role": "user", "content": "x"}], turn_follows=False)
        _, _, rest = text.partition(asked)
        between, found, behind = rest.partition(said)
        if not found:
            raise UserError(
                f"the chat template of {self._name} drops an assistant's message: how a turn ends can't be "
                "seen; use the template that the model was trained with."
            )
        return between, behind

    @property
    def sample(self) -> dict[str, Any]:
        """The rendered prompt as text around its marks, JSON-able."""
        return {"parts": [list(part) for part in self.parts], "spliced": list(self.spliced)}

    # The template.

    @property
    def _name(self) -> str:
        return str(self._tokenizer.name_or_path)

    def _template_source(self) -> str:
        given = self._prompt.template_arguments
        if not getattr(self._tokenizer, "chat_template", None) and "chat_template" not in given:
            raise UserError(
                f"the tokenizer in {self._name} has no chat template: "
                "use an instruction-tuned model or add chat_template.jinja to its folder."
            )
        try:
            return str(self._tokenizer.get_chat_template(given.get("chat_template"), given.get("tools")))
        except ValueError as error:  # several templates and none is the default one
            raise UserError(
                f"team.prompts.{self._agent}: the tokenizer in {self._name} has several chat templates "
                f"({', '.join(self._tokenizer.chat_template)}): name one in template_arguments.chat_template."
            ) from error

    def _template_arguments(self) -> dict[str, Any]:
        """The prompt's, with the clock either stopped or refusing."""
        arguments = dict(self._prompt.template_arguments)
        if "strftime_now" in self._source:
            arguments["chat_template"] = _CLOCK + self._source
            if "strftime_now" in arguments:
                arguments[_DATE] = str(arguments.pop("strftime_now"))
        return arguments

    def _messages(self, user: str, system: str | None = None) -> list[dict[str, str]]:
        system = self._prompt.system if system is None else system
        messages = [{"role": "system", "content": system}] if system else []
        return [*messages, {"role": "user", "content": user}]

    def _render(self, messages: Sequence[Mapping[str, str]], turn_follows: bool = True) -> str:
        from jinja2 import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=turn_follows,
                **self._arguments,
            )
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            told = (str(error).splitlines() or [type(error).__name__])[0]
            if told == "strftime_now":
                raise UserError(
                    f"the chat template of {self._name} shows today's date (strftime_now), so a prompt would "
                    f"change overnight: set team.prompts.{self._agent}.template_arguments.strftime_now to a "
                    "date as it should stand there, for example '26 Jul 2024'."
                ) from error
            raise UserError(
                f"the chat template of {self._name} refuses the messages of team.prompts.{self._agent} "
                f"({told}): mend the prompt, or use another template."
            ) from error
        return str(text)

    def _mark(self, number: int) -> str:
        return self._mark_beside("", number)

    def _mark_beside(self, text: str, number: int = 0) -> str:
        """Digits that stand neither in this text nor in anything else that is rendered.

        They begin with the only 7 among them, so no other text before them completes a mark.
        """
        taken = f"{text} {self._prompt} {self._source}"
        marks = (f"7{k:032b}" for k in count(271828182 + 1000 * number))
        return next(mark for mark in marks if mark not in taken)

    def _marks(self, beside: str = "") -> dict[Place, str]:
        """One for each of the prompt's places."""
        return {place: self._mark_beside(beside, number) for number, place in enumerate(self._places)}

    # The checks.

    def _check_messages(self, places: Sequence[Place]) -> None:
        """The system message is accepted and shown, the user's too, and twice the same is the same."""
        marks = self._marks()
        system, begin, end = (self._mark(len(marks) + number) for number in range(3))
        user = begin + self._prompt.filled(marks) + end
        try:
            text = self._render(self._messages(user))
        except UserError as error:
            if (
                "strftime_now" not in str(error)
                and self._prompt.system
                and self._accepts_without_system(user)
            ):
                raise UserError(
                    f"the chat template of {self._name} refuses a system message: put the text of "
                    f"team.prompts.{self._agent}.system at the beginning of its user message."
                ) from error
            raise
        if text != self._render(self._messages(user)):
            raise UserError(
                f"the chat template of {self._name} renders one message in two ways: use another."
            )
        wanted = [begin, *(marks[place] for place in places), end]
        if re.findall("|".join([begin, end, *marks.values()]), text) != wanted:
            raise UserError(
                f"the chat template of {self._name} does not show the user message of team.prompts."
                f"{self._agent} with its {' and '.join(places)} once and in order: use another."
            )
        if self._prompt.system and system not in self._render(self._messages(user, system)):
            raise UserError(
                f"the chat template of {self._name} does not show a system message: put the text of "
                f"team.prompts.{self._agent}.system at the beginning of its user message."
            )

    def _accepts_without_system(self, user: str) -> bool:
        try:
            self._render(self._messages(user, ""))
        except UserError:
            return False
        return True

    def _check_arguments(self) -> None:
        given = [key for key in self._prompt.template_arguments if key not in _OWN_ARGUMENTS]
        known = _variables(self._source)
        if unknown := [key for key in given if key not in known]:
            choices = sorted(known - {"messages", "add_generation_prompt", "raise_exception", "namespace"})
            raise UserError(
                f"team.prompts.{self._agent}.template_arguments.{unknown[0]} is no argument of the chat "
                f"template of {self._name}, which knows {', '.join(choices) or 'none'}."
            )

    def _between_marks(self) -> tuple[tuple[str, ...], ...]:
        """The rendered prompt, cut where token ids go and there where the question goes."""
        marks = self._marks()
        text = self._render(self._messages(self._prompt.filled(marks)))
        parts, _ = _cut(text, {mark: place for place, mark in marks.items() if place != QUESTION})
        question = marks.get(QUESTION, self._mark(len(marks)))
        return tuple(tuple(part.split(question)) for part in parts)

    def _check_thinking(self) -> None:
        """A verdict is compared at one position: it must not stand inside an opened thought."""
        if not self._prompt.options:
            return
        prefilled = self.parts[-1][-1]
        opened = list(_THINKING.finditer(prefilled))
        if opened and not _THOUGHT.search(prefilled, opened[-1].end()):
            raise UserError(
                f"the chat template of {self._name} opens {opened[-1][0]} before agent '{self._agent}' "
                "chooses, so its words would be compared where a thought begins: switch thinking off in "
                f"team.prompts.{self._agent}.template_arguments (often enable_thinking: false), or use a "
                "model that need not think."
            )


def _cut(text: str, marks: Mapping[str, Place]) -> tuple[tuple[str, ...], tuple[Place, ...]]:
    """The text around the marks, one part more than there are, and the places that they stand for."""
    if not marks:
        return (text,), ()
    pieces = re.split(f"({'|'.join(marks)})", text)
    return tuple(pieces[0::2]), tuple(marks[mark] for mark in pieces[1::2])


def _variables(source: str) -> set[str]:
    """What a chat template reads from outside."""
    from jinja2 import meta, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """transformers' own block, which says what an assistant wrote."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(extensions=[loopcontrols, Generation])
    return set(meta.find_undeclared_variables(environment.parse(source)))
