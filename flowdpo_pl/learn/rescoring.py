"""Whether an engine played what learns: the pairs' moves, scored as they were drawn, before any is learnt.

Shapes: S scored tokens, M moves.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from flowdpo_pl.distributed import gathered, summed
from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.adapter_update import AdapterUpdate
from flowdpo_pl.learn.packing import PackedTree, pack
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.learn.scoring import MicroBatch, scored_states
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.play.engines.engine_settings import Tolerance
from flowdpo_pl.play.engines.sampling import Sampling, law
from flowdpo_pl.play.players import Players
from flowdpo_pl.types import Agent, RolloutTree

_LOG = logging.getLogger(__name__)
_ROWS = 256
"""Of logits that are in memory at a time."""
_TIED_TREES = 4
_TIMES_NOISE = 3
_NOBODY = ""
"""No agent's name: it decodes as the base."""


class Rescoring:
    """Compares an engine with the trainer on all pairs of a batch."""

    def __init__(self, players: Players, sampling: Sampling, update: AdapterUpdate) -> None:
        """`update`: splits trees to fit in memory."""
        self._players = players
        self._sampling = sampling
        self._update = update

    def gaps(self, trees: Sequence[RolloutTree], margin: float = 0.0) -> dict[Agent, float]:
        """Nats a token between the engine's log-probabilities and ours, by agent; NaN without a fork.

        Of all pairs of these trees (`margin` as in `mine`); of some ties for an agent that has none, since
        what another base writes is mostly wrong everywhere. Empty where the engine plays this process's own
        weights. All ranks come to the same.

        Raises:
            UserError: an agent's moves were played by another one, by the base, or by who knows whom;
                nothing was learnt yet.
        """
        tolerance = self._players.opened.tolerance
        if tolerance is None:
            return {}
        noise = max(noise for own in gathered([tolerance.noise]) for noise in own)
        pairs, ties = mine(trees, margin), mine(trees[:_TIED_TREES], margin=-1.0)
        packed = {
            agent: pack(pairs.of(agent) or ties.of(agent), self._players.prompts)
            for agent in self._players.flow.agents
        }
        gaps = {agent: self._gap(agent, agent, of) for agent, of in packed.items()}
        for agent, gap in gaps.items():
            if gap > _TIMES_NOISE * noise:
                self._require_own(agent, gap, packed[agent], tolerance)
        return gaps

    def _require_own(
        self, agent: Agent, gap: float, trees: Sequence[PackedTree], tolerance: Tolerance
    ) -> None:
        others = {other: f"agent '{other}'" for other in self._players.flow.agents if other != agent}
        names: Mapping[Agent, str] = {_NOBODY: "the base without an adapter", **others}
        other_gaps = {name: self._gap(agent, name, trees) for name in names}
        nearest = min(other_gaps, key=lambda name: other_gaps[name])
        told = (
            f"the engine's log-probabilities of agent '{agent}' differ from the trainer's by {gap:.3g} nats"
        )
        told += " a token"
        if other_gaps[nearest] < gap / 2:
            raise UserError(
                f"{told}, and from those of {names[nearest]} by {other_gaps[nearest]:.3g}: a server plays "
                "the wrong weights under that name, so nothing is learnt from this batch; start it anew and "
                "resume the run."
            )
        if gap > tolerance.stops:
            raise UserError(
                f"{told} (model.team.engine.gap_stops is {tolerance.stops:g}): a server has another base or "
                "other weights, so nothing is learnt from this batch; start it anew and resume the run."
            )
        if gap > tolerance.warns:
            _LOG.warning("%s (model.team.engine.gap_warns is %g).", told, tolerance.warns)

    def _gap(self, agent: Agent, actor: Agent, trees: Sequence[PackedTree]) -> float:
        """Of the moves of `agent`, if `actor` had played them."""
        agents, head = self._players.agents, self._players.head

        def contribution(batch: MicroBatch) -> dict[str, float]:
            with torch.no_grad(), agents.decoding_as(actor):
                ours = played_logprobs(agents, batch, head, self._sampling).cpu().double()
            lengths = batch.owner.bincount(minlength=batch.moves).cpu()
            known = batch.played.isfinite()
            return {
                "nats": float((ours - batch.played)[known].abs().sum()),
                "tokens": float(lengths[known].sum()),
            }

        sums = self._update.sums(agent, trees, ("nats", "tokens"), contribution)
        nats, tokens = summed([sums["nats"], sums["tokens"]], agents.device)
        return nats / tokens if tokens else math.nan


def played_logprobs(agents: Agents, batch: MicroBatch, head: OutputHead, sampling: Sampling) -> Tensor:
    """Log-probability `[M]` of every move under what it is drawn from, for whoever acts.

    Unlike what is learnt this is at the sampling's temperature, and no written move begins with its end.
    """
    scored = scored_states(agents, batch)
    begins = batch.summed[torch.searchsorted(batch.owner, torch.arange(batch.moves, device=scored.device))]
    inside = torch.zeros(len(batch.summed), dtype=torch.bool, device=scored.device)
    inside[1:] = batch.owner[1:] == batch.owner[:-1]
    logprobs = torch.zeros(batch.moves, device=scored.device)
    if len(batch.choices):
        options = head.option_logits(scored[batch.choices], batch.options) / sampling.temperature
        chosen = batch.options == batch.targets[batch.choices][:, None]
        words = torch.zeros(len(scored), device=scored.device)
        words[batch.choices] = options.log_softmax(-1)[chosen]
        logprobs += words[begins]
    is_word = torch.zeros(len(scored), dtype=torch.bool, device=scored.device)
    is_word[batch.choices] = True
    writes = (~is_word[begins]).nonzero().squeeze(1)
    first, rest = begins[writes], batch.summed[inside]
    logprobs[writes] += _drawn(scored[first], batch.targets[first], head, sampling, fresh=True)
    inner = _drawn(scored[rest], batch.targets[rest], head, sampling, fresh=False)
    return logprobs.index_add(0, batch.owner[inside], inner)


def _drawn(states: Tensor, targets: Tensor, head: OutputHead, sampling: Sampling, fresh: bool) -> Tensor:
    """Log-probabilities of written tokens; `fresh`: they begin a move."""
    parts = [torch.zeros(0, device=states.device)]
    for hidden, target in zip(states.split(_ROWS), targets.split(_ROWS), strict=True):
        logits = head.merged(head.logits(hidden))
        if fresh:
            logits[:, head.end_ids[0]] = -torch.inf
        parts.append(law(logits, sampling).gather(1, target[:, None]).squeeze(1))
    return torch.cat(parts)
