"""What each agent reads: prompts are data, rendered once, with token ids spliced in unchanged.

An agent's context is `prefix + answer so far + suffix`. The prefix holds the question; the suffix
is what follows the partial answer (empty for an agent that writes on). The text around the splice
is rendered by the model's chat template and tokenised once; generated ids go between unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Agent, Move, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PARTIAL = "\u2983partial\u2984"  # stands for the partial answer while the template renders


@dataclass(frozen=True)
class AgentPrompt:
    """One agent's prompt: chat messages with `{question}` and, for a reader, `{partial}`."""

    user: str
    """User message. Must contain `{question}`; with `{partial}` the agent reads the answer so far there,
    without it the agent continues the answer in its own turn."""
    system: str = ""
    """System message; empty for none."""
    options: tuple[str, ...] = ()
    """The two words that an agent chooses from, each one token; the flow says what each means."""
    template_arguments: dict[str, Any] = field(default_factory=dict)
    """Extra arguments of the chat template, for example `enable_thinking: false`."""

    def __post_init__(self) -> None:
        if "{question}" not in self.user:
            raise UserError(f"prompt {self.user!r} has no {{question}}: say where the problem goes.")
        if len(self.options) not in (0, 2):
            raise UserError(f"prompt options {list(self.options)} must be two words, or none.")


@dataclass(frozen=True, slots=True)
class Context:
    """What an agent reads before it moves."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


class PromptBook:
    """The agents' prompts, bound to a tokenizer and its chat template."""

    def __init__(
        self, prompts: Mapping[Agent, AgentPrompt], tokenizer: PreTrainedTokenizerBase, end_ids: Sequence[int]
    ) -> None:
        """`end_ids`: every token that ends a turn; they count as one symbol, the first of them.

        Raises:
            UserError: the tokenizer has no chat template, or an option word is not one token of its own.
        """
        if not getattr(tokenizer, "chat_template", None):
            raise UserError(
                f"the tokenizer in {tokenizer.name_or_path} has no chat template: "
                "use an instruction-tuned model or add chat_template.jinja to its folder."
            )
        if not end_ids:
            raise UserError(f"the model in {tokenizer.name_or_path} names no end token: set eos_token_id.")
        self._prompts = dict(prompts)
        self._tokenizer = tokenizer
        self.end_ids = tuple(end_ids)
        self._heads: dict[tuple[Agent, str], tuple[int, ...]] = {}
        self._tails = {agent: self._render(agent, "?")[1] for agent in self._prompts}
        self._options = {agent: self._option_ids(agent) for agent in self._prompts}

    @property
    def agents(self) -> tuple[Agent, ...]:
        return tuple(self._prompts)

    def context(self, agent: Agent, problem: Problem, moves: Sequence[Move]) -> Context:
        """What `agent` reads after `moves` on `problem`."""
        key = (agent, problem.question)
        if key not in self._heads:
            if len(self._heads) > 4096:  # a stream never asks for an old problem again
                self._heads.clear()
            self._heads[key] = self._render(agent, problem.question)[0]
        return Context(self._heads[key] + self.partial(moves), self._tails[agent])

    def partial(self, moves: Sequence[Move]) -> tuple[int, ...]:
        """Token ids of the answer so far: the written moves without their end tokens."""
        ids: list[int] = []
        for move in moves:
            if move.option is None:
                ended = move.token_ids[-1:] == self.end_ids[:1]
                ids.extend(move.token_ids[:-1] if ended else move.token_ids)
        return tuple(ids)

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
        """Token ids of a whole answer that is given as text, its end token included."""
        return (*self._encode(text), self.end_ids[0])

    def decode(self, token_ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def longest(self, problem: Problem, written_tokens: int) -> int:
        """Tokens of the longest context that a flow with `written_tokens` can reach on this problem."""
        return written_tokens + max(
            len(context.prefix) + len(context.suffix)
            for context in (self.context(agent, problem, ()) for agent in self._prompts)
        )

    def identity(self) -> dict[str, Any]:
        """What a checkpoint remembers of the prompts."""
        return {
            agent: {**asdict(prompt), "options": list(prompt.options)}
            for agent, prompt in self._prompts.items()
        }

    def _render(self, agent: Agent, question: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids before and after the partial answer."""
        prompt = self._prompts[agent]
        user = prompt.user.replace("{partial}", _PARTIAL).replace("{question}", question.strip())
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages.append({"role": "user", "content": user})
        text = str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **prompt.template_arguments
            )
        )
        head, _, tail = text.partition(_PARTIAL)
        return self._encode(head), self._encode(tail)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    def _option_ids(self, agent: Agent) -> tuple[int, int] | None:
        words = self._prompts[agent].options
        if not words:
            return None
        ids = []
        for word in words:
            pieces = self._encode(word)
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
