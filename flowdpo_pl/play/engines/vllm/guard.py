"""Whether a server plays what the trainer holds: what it writes on a canary prompt is scored here too.

At the start three are told apart: the base and two strong random adapters, whose place no young adapter of an
agent could take (at B = 0 they are one function). The canary's temperature is not 1, so log-probabilities
before temperature are noticed as well. Each version of an agent is looked at when it comes, and with the base
after every batch of trees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.attention import TreeView
from flowdpo_pl.play.engines.vllm.params import canary
from flowdpo_pl.play.engines.vllm.server import Generated, Server

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.output_head import OutputHead

_NOBODY = ""
"""No agent's name: who has no adapter decodes as the base."""
_PROMPT, _WRITTEN, _IN_PASSING = 8, 24, 8
_TEMPERATURE = 1.7
_AGREES = 0.1
"""Nats a token on average; bfloat16 was seen to differ by 0.04 between vLLM and transformers."""
_TIMES_NOISE = 3
_LEAST_NOISE = 1e-3


Weights: TypeAlias = Sequence[Tensor] | None
"""Of an adapter, as `Agents.parameters_of` has them; None: the base alone."""


class Guard:
    """Compares servers with the trainer's own agents."""

    def __init__(self, agents: Agents, head: OutputHead) -> None:
        self._agents = agents
        self._head = head
        vocabulary = head.weight.shape[0]
        self._prompt = tuple((7919 * (n + 1)) % vocabulary for n in range(_PROMPT))
        self.noise = _LEAST_NOISE
        """Mean difference of a token's log-probability between a server and here, where the two agree."""

    def strong(self, number: int) -> list[Tensor]:
        """Weights of a random adapter of the agents' shape, far from the base and from another number's."""
        random = torch.Generator().manual_seed(number)
        agent = self._agents.names[0]
        scale = self._agents.adapter(agent).scale
        weights = []
        for index, like in enumerate(self._agents.parameters_of(agent)):  # A and B in turn
            std = 0.5 / like.shape[-1] ** 0.5 / (scale if index % 2 else 1.0)
            weights.append((torch.randn(like.shape, generator=random) * std).to(like.device))
        return weights

    def require_own(self, server: Server, names: Mapping[str, Weights]) -> None:
        """Refuse a server that does not tell the base and strong adapters apart as we do.

        Args:
            server: asked.
            names: what each is called there, and its weights.

        Raises:
            ServerLost: it gives no answer.
            UserError: it plays something else; says what, where that is known.
        """
        for name, weights in names.items():
            written = self.asked(server, name)
            gaps = {other: _gap(written, self._scores(written, own)) for other, own in names.items()}
            nearest = min(gaps, key=lambda other: gaps[other])
            if gaps[nearest] <= _AGREES and nearest == name:
                self.noise = max(self.noise, gaps[name])
            elif gaps[nearest] <= _AGREES:
                raise UserError(
                    f"{server.url} plays {nearest} when asked for {name}, so nothing is learnt from it: "
                    "start it anew, with vLLM 0.32 or later."
                )
            elif _gap(written, self._scores(written, weights, temperature=1.0)) <= _AGREES:
                raise UserError(
                    f"{server.url} gives log-probabilities from before the temperature: start it with "
                    "--logprobs-mode processed_logprobs."
                )
            else:
                raise UserError(
                    f"{server.url} plays another model than the trainer's: as {name} it differs by "
                    f"{gaps[name]:.2f} nats a token; start it with the --model of model.team.base.path and "
                    "--generation-config vllm."
                )

    def asked(self, server: Server, name: str, tokens: int = _WRITTEN) -> Generated:
        """What the server writes on the canary's prompt as `name`.

        Raises:
            ServerLost: it gives no answer.
        """
        return server.generate(name, self._prompt, canary(tokens, _TEMPERATURE))

    def asked_in_passing(self, server: Server, name: str) -> Generated:
        """Less of it: every token is a step that nothing else shares."""
        return self.asked(server, name, _IN_PASSING)

    def require_weights(
        self, server: Server, name: str, written: Generated, weights: Weights, others: Mapping[str, Weights]
    ) -> list[str]:
        """Refuse a server that does not play these weights under their name.

        Args:
            server: which.
            name: that it was asked by.
            written: what it wrote.
            weights: that it ought to have.
            others: weights that may have taken their place, by what these are called.

        Returns:
            Those of the others that can't be told from the weights by what was written.

        Raises:
            UserError: it plays others, or who knows what.
        """
        own = self._scores(written, weights)
        gap, allowed = _gap(written, own), max(_AGREES, _TIMES_NOISE * self.noise)
        like, gaps = [], {}
        for other, theirs in others.items():
            scores = self._scores(written, theirs)
            if float((own - scores).abs().mean()) <= _TIMES_NOISE * self.noise:
                like.append(other)
            else:
                gaps[other] = _gap(written, scores)
        nearest = min(gaps, key=lambda other: gaps[other], default="")
        known = bool(nearest) and gaps[nearest] < min(gap, allowed)
        if known or gap > allowed:
            instead = f", those of {nearest}" if known else f" ({gap:.2f} nats a token)"
            raise UserError(
                f"{server.url} plays other weights under the name {name} than the trainer has{instead}, so "
                "nothing is learnt from it: start it anew and resume the run."
            )
        return like

    def _scores(self, written: Generated, weights: Weights, temperature: float = _TEMPERATURE) -> Tensor:
        """Log-probabilities [T] of what was written, by these weights here, on the CPU."""
        agents, agent = self._agents, self._agents.names[0]
        ids = torch.tensor([[*self._prompt, *written.token_ids]], device=agents.device)
        places = torch.arange(ids.shape[1], device=ids.device)[None]
        alone = torch.zeros_like(ids)
        with ExitStack() as stack:
            if weights is not None:
                stack.enter_context(agents.lent(agent, weights))
            stack.enter_context(agents.decoding_as(agent if weights is not None else _NOBODY))
            hidden = agents.hidden(ids, places, TreeView(places, alone, alone))[0, _PROMPT - 1 : -1]
            logprobs = (self._head.logits(hidden) / temperature).log_softmax(-1)
            return logprobs.gather(1, ids[0, _PROMPT:, None]).squeeze(1).cpu()


def _gap(written: Generated, scores: Tensor) -> float:
    """Nats a token on average."""
    return float((torch.tensor(written.logprobs) - scores).abs().mean())
