"""What each agent reads: prompts are data, rendered once, with token ids spliced in unchanged.

An agent's context is its rendered prompt, with token ids in the places of what was said, and behind it the
words that it goes on from in its own turn. The text around the places is rendered by the model's chat
template and tokenised once a question; generated ids go between unchanged. Play and learning both ask here,
so they read the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.agent_prompt import QUESTION, AgentPrompt, Place
from flowdpo_pl.play.contexts import Context, Contexts, Ids
from flowdpo_pl.play.control_tokens import ControlTokens
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.play.rendering import Rendering
from flowdpo_pl.types import Agent, Move, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["AgentPrompt", "Context", "PromptBook"]

_REMEMBERED = 4096  # questions; a stream never asks for an old problem again


class PromptBook(Contexts):
    """The agents' prompts, bound to a flow, a tokenizer and its chat template."""

    def __init__(
        self,
        flow: Flow,
        prompts: Mapping[Agent, AgentPrompt],
        tokenizer: PreTrainedTokenizerBase,
        end_ids: Sequence[int],
    ) -> None:
        """`end_ids`: every token known to end a turn; what ends the template's turns is added.

        Raises:
            UserError: the template can't show a prompt as it stands (see `Rendering`), its assistant's turn
                ends with no end token, or an option word is not one token of its own.
        """
        super().__init__(flow)
        self._prompts = dict(prompts)
        self._tokenizer = tokenizer
        renderings = {
            agent: Rendering(agent, prompt, tokenizer, flow.agents) for agent, prompt in self._prompts.items()
        }
        if not end_ids:
            raise UserError(f"the model in {tokenizer.name_or_path} names no end token: set eos_token_id.")
        self.end_ids = tuple(end_ids)
        """Every token that ends a turn; they count as one symbol, the first of them."""
        self.controls = ControlTokens(tokenizer, self.end_ids)
        """Reads text without control tokens in it."""
        for rendering in renderings.values():
            self._add_end_of(rendering)
        self._renderings = renderings
        self._around: dict[tuple[Agent, str], tuple[Ids, ...]] = {}
        self._options = {agent: self._option_ids(agent) for agent in self._prompts}

    @property
    def agents(self) -> tuple[Agent, ...]:
        return tuple(self._prompts)

    def spliced(self, agent: Agent) -> tuple[Place, ...]:
        return self._renderings[agent].spliced

    def around(self, agent: Agent, problem: Problem) -> tuple[Ids, ...]:
        return self._around_places(agent, problem.question.strip())

    def ended(self, move: Move) -> bool:
        return move.option is None and move.token_ids[-1:] == self.end_ids[:1]

    def options(self, agent: Agent) -> tuple[int, ...]:
        """Token ids of the words that the agent chooses from; none of an agent that only writes."""
        return self._options[agent]

    def require_words(self) -> None:
        """
        Raises:
            UserError: an agent has not as many words as the flow lets it choose among.
        """
        for agent, words in self.flow.words.items():
            if agent not in self._prompts or len(self._options[agent]) == words:
                continue
            raise UserError(
                f"the flow lets agent '{agent}' choose among {words} words, but team.prompts.{agent}.options "
                f"has {len(self._options[agent]) or 'none'}: give {words} words."
            )

    def option_words(self, agent: Agent) -> tuple[str, ...]:
        return self._prompts[agent].options

    def text(self, moves: Sequence[Move]) -> str:
        """The words of these moves as text."""
        return self.decode(self.words(moves))

    def answer_ids(self, moves: Sequence[Move]) -> Ids:
        """The answer so far as token ids, without end tokens."""
        return self.words(self.flow.answer(moves))

    def answer(self, moves: Sequence[Move]) -> str:
        """The answer so far as text."""
        return self.decode(self.answer_ids(moves))

    def written(self, text: str) -> tuple[int, ...]:
        """Token ids of a whole answer that is given as text, its end token included; nothing else in it is a
        control token."""
        return (*self.controls.encode_data(text), self.end_ids[0])

    def holds_control(self, text: str) -> bool:
        """Whether the text reads as control tokens to the tokenizer."""
        return self.controls.encode_data(text) != self.controls.encode(text)

    def wrote(self, token_ids: Sequence[int], text: str) -> bool:
        """Whether a model with this tokenizer wrote the text in these tokens, none of which ends a turn."""
        if not all(0 <= token < len(self._tokenizer) for token in token_ids):
            return False
        return not set(token_ids) & set(self.end_ids) and self.decode(token_ids) == text

    def decode(self, token_ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def written_out(self, token_ids: Sequence[int]) -> str:
        """As text, control tokens by their names."""
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=False))

    def longest(self, problem: Problem) -> int:
        """Tokens of the longest context of this problem in this flow, with what its agent then writes."""
        return max(sum(map(len, self.around(agent, problem))) + room for agent, room in self._rooms.items())

    @cached_property
    def _rooms(self) -> dict[Agent, int]:
        return {agent: self.room(agent) for agent in self._prompts}

    def plain(self, agent: Agent) -> list[str]:
        """The rendered prompt, `{question}` and all: text, a place of token ids, text, ….

        A context is these texts' token ids with what was said between, and behind it the words that the
        agent goes on from. That holds of templates that show any question as it stands.
        """
        rendering = self._renderings[agent]
        texts = [QUESTION.join(part) for part in rendering.parts]
        return [
            piece for pair in zip_longest(texts, rendering.spliced) for piece in pair if piece is not None
        ]

    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer and its chat template."""
        self._tokenizer.save_pretrained(folder)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint remembers of the prompts: as they are set, and as the template renders them."""
        return {
            agent: {
                **asdict(prompt),
                "options": list(prompt.options),
                "rendered": self._digest(agent),
            }
            for agent, prompt in self._prompts.items()
        }

    def _digest(self, agent: Agent) -> str:
        """Of the rendered prompt as text and tokens, and of what ends a turn."""
        sample = {**self._renderings[agent].sample, "end": self.end_ids}
        ids = self._around_places(agent, "What is 12 + 30?")
        return hashlib.sha256(json.dumps([sample, ids]).encode()).hexdigest()[:16]

    def _around_places(self, agent: Agent, question: str) -> tuple[Ids, ...]:
        """Token ids before, between and behind the places of what was said."""
        key = (agent, question)
        if key not in self._around:
            if len(self._around) > _REMEMBERED:
                self._around.clear()
            self._around[key] = self._encoded_around(self._renderings[agent], question)
        return self._around[key]

    def _encoded_around(self, rendering: Rendering, question: str) -> tuple[Ids, ...]:
        rendered = rendering.of(question) or (None,) * len(rendering.parts)
        return tuple(
            self.controls.encode_around(parts, [question] * (len(parts) - 1), text)
            for parts, text in zip(rendering.parts, rendered, strict=True)
        )

    def _add_end_of(self, rendering: Rendering) -> None:
        """Count what the template ends an assistant's turn with among the end tokens.

        Early Llama-3 tokenizers name `<|end_of_text|>` while every turn ends with `<|eot_id|>`.
        """
        between, behind = (self.controls.encode(text.strip()) for text in rendering.assistant_turn())
        if not behind or behind[0] in self.end_ids:
            return  # a template that shows no end leaves it to the model's own
        end = behind[0]
        if end not in self.controls.ids or (end in between and end != between[0]):
            known = ", ".join(self._tokenizer.convert_ids_to_tokens(list(self.end_ids)))
            raise UserError(
                f"the chat template of {self._tokenizer.name_or_path} goes on with "
                f"{self._tokenizer.decode([end])!r} behind an assistant's message, but the model's end "
                f"tokens are {known}: use the template that the model was trained with, or set eos_token_id "
                "in its generation_config.json."
            )
        self.end_ids = (*self.end_ids, end)

    def _option_ids(self, agent: Agent) -> tuple[int, ...]:
        ids: dict[int, str] = {}
        for word in self._prompts[agent].options:
            pieces = self.controls.encode(word)
            if len(pieces) != 1:
                raise UserError(
                    f"option word {word!r} of agent '{agent}' is {len(pieces)} tokens for this tokenizer: "
                    "choose a word that is one token."
                )
            if other := ids.get(pieces[0]):
                raise UserError(
                    f"option words {other!r} and {word!r} of agent '{agent}' are the same token for this "
                    "tokenizer: choose words that differ."
                )
            ids[pieces[0]] = word
        return tuple(ids)
