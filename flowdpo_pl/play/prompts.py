"""What each agent reads: prompts are data, rendered once, with token ids spliced in unchanged.

An agent's context is `prefix + answer so far + suffix`. The text around the answer so far is rendered by the
model's chat template and tokenised once a question; generated ids go between unchanged. Play and learning
both ask here, so they read the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.agent_prompt import AgentPrompt
from flowdpo_pl.play.control_tokens import ControlTokens
from flowdpo_pl.play.rendering import Rendering
from flowdpo_pl.types import Agent, Move, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["AgentPrompt", "Context", "PromptBook"]

_REMEMBERED = 4096  # questions; a stream never asks for an old problem again


@dataclass(frozen=True, slots=True)
class Context:
    """What an agent reads before it moves."""

    prefix: tuple[int, ...]
    """Up to the end of the answer so far."""
    suffix: tuple[int, ...]
    """What follows the answer so far."""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """All of it."""
        return self.prefix + self.suffix


class PromptBook:
    """The agents' prompts, bound to a tokenizer and its chat template."""

    def __init__(
        self, prompts: Mapping[Agent, AgentPrompt], tokenizer: PreTrainedTokenizerBase, end_ids: Sequence[int]
    ) -> None:
        """`end_ids`: every token known to end a turn; what ends the template's turns is added.

        Raises:
            UserError: the template can't show a prompt as it stands (see `Rendering`), its assistant's turn
                ends with no end token, or an option word is not one token of its own.
        """
        self._prompts = dict(prompts)
        self._tokenizer = tokenizer
        renderings = {agent: Rendering(agent, prompt, tokenizer) for agent, prompt in self._prompts.items()}
        if not end_ids:
            raise UserError(f"the model in {tokenizer.name_or_path} names no end token: set eos_token_id.")
        self.end_ids = tuple(end_ids)
        """Every token that ends a turn; they count as one symbol, the first of them."""
        self.controls = ControlTokens(tokenizer, self.end_ids)
        """Reads text without control tokens in it."""
        for rendering in renderings.values():
            self._add_end_of(rendering)
        self._renderings = renderings
        self._around: dict[tuple[Agent, str], tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._options = {agent: self._option_ids(agent) for agent in self._prompts}

    @property
    def agents(self) -> tuple[Agent, ...]:
        return tuple(self._prompts)

    def context(self, agent: Agent, problem: Problem, moves: Sequence[Move]) -> Context:
        """What `agent` reads after `moves` on `problem`."""
        before, after = self._around_answer(agent, problem.question.strip())
        return Context(before + self.partial(moves), after)

    def partial(self, moves: Sequence[Move]) -> tuple[int, ...]:
        """Token ids of the answer so far: the written moves without their end tokens."""
        ids: list[int] = []
        for move in moves:
            if move.option is None:
                ids.extend(move.token_ids[:-1] if self.ended(move) else move.token_ids)
        return tuple(ids)

    def ended(self, move: Move) -> bool:
        """Whether the agent ended this written move itself."""
        return move.token_ids[-1:] == self.end_ids[:1]

    def options(self, agent: Agent) -> tuple[int, int]:
        """Token ids of the agent's two option words."""
        ids = self._options[agent]
        if ids is None:
            raise UserError(f"agent '{agent}' chooses but its prompt has no options: give two option words.")
        return ids

    def option_words(self, agent: Agent) -> tuple[str, ...]:
        return self._prompts[agent].options

    def text(self, moves: Sequence[Move]) -> str:
        """The answer so far as text."""
        return self.decode(self.partial(moves))

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

    def longest(self, problem: Problem, written_tokens: int) -> int:
        """Tokens of the longest context that a flow with `written_tokens` can reach on this problem."""
        return written_tokens + max(
            len(self.context(agent, problem, ()).token_ids) for agent in self._prompts
        )

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
        ids = self._around_answer(agent, "What is 12 + 30?")
        return hashlib.sha256(json.dumps([sample, ids]).encode()).hexdigest()[:16]

    def _around_answer(self, agent: Agent, question: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids before and behind the answer so far."""
        key = (agent, question)
        if key not in self._around:
            if len(self._around) > _REMEMBERED:
                self._around.clear()
            self._around[key] = self._encoded_around(self._renderings[agent], question)
        return self._around[key]

    def _encoded_around(self, rendering: Rendering, question: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        ids = []
        rendered = rendering.of(question) or (None, None)
        for parts, text in zip((rendering.before, rendering.after), rendered, strict=True):
            ids.append(self.controls.encode_around(parts, [question] * (len(parts) - 1), text))
        return ids[0], ids[1]

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

    def _option_ids(self, agent: Agent) -> tuple[int, int] | None:
        words = self._prompts[agent].options
        if not words:
            return None
        ids = []
        for word in words:
            pieces = self.controls.encode(word)
            if len(pieces) != 1:
                raise UserError(
                    f"option word {word!r} of agent '{agent}' is {len(pieces)} tokens for this tokenizer: "
                    "choose a word that is one token."
                )
            ids.append(pieces[0])
        if ids[0] == ids[1]:
            raise UserError(
                f"option words {words[0]!r} and {words[1]!r} of agent '{agent}' are the same token for this "
                "tokenizer: choose two that differ."
            )
        return ids[0], ids[1]
