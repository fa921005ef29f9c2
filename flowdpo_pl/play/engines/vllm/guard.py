"""Whether a server plays what the trainer holds: what it writes on a canary prompt is scored here too.

At the start three are told apart: the base and two strong random adapters, whose place no young adapter of an
agent could take (at B = 0 they are one function). The canary's temperature is not 1, so log-probabilities
before temperature are noticed as well.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.attention import TreeView
from flowdpo_pl.play.engines.vllm.params import canary
from flowdpo_pl.play.engines.vllm.server import Generated, Server
from flowdpo_pl.types import Agent

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.output_head import OutputHead

_LOG = logging.getLogger(__name__)
_NOBODY = ""
"""No agent's name: who has no adapter decodes as the base."""
_PROMPT, _WRITTEN = 8, 24
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
            written = self._asked(server, name)
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

    def require_version(self, server: Server, agent: Agent, name: str, now: Weights, before: Weights) -> None:
        """Refuse a server that does not play a version's weights under its name.

        Args:
            server: asked.
            agent: whose version it is.
            name: of the version.
            now: its weights.
            before: weights of the version before.

        Raises:
            ServerLost: it gives no answer.
            UserError: it plays other weights.
        """
        written = self._asked(server, name)
        own = self._scores(written, now)
        old = self._scores(written, before)
        gap = _gap(written, own)
        told = float((own - old).abs().mean()) > _TIMES_NOISE * self.noise
        if not told:
            _LOG.info("%s: %s is indistinguishable from what was before it", server.url, name)
        if gap > max(_AGREES, _TIMES_NOISE * self.noise) or (told and gap > _gap(written, old)):
            raise UserError(
                f"{server.url} plays other weights under the name {name} than agent '{agent}' has "
                f"({gap:.2f} nats a token), so nothing is learnt from it: start it anew and resume the run."
            )

    def _asked(self, server: Server, name: str) -> Generated:
        return server.generate(name, self._prompt, canary(_WRITTEN, _TEMPERATURE))

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
