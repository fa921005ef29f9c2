"""Plain implementations that the fast ones are proven equal to: no cache, no packing, no tricks.

They use transformers' own attention and PEFT's own forward, one sequence at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from flowdpo_pl.draws import Draws, uniforms
from flowdpo_pl.learn.losses import PairScores, PreferenceLoss
from flowdpo_pl.learn.objective import MoveScores
from flowdpo_pl.learn.packing import Lesson
from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, WriteRequest, Written
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.types import Agent, Move, PreferencePair, RolloutTree

_CPU = torch.device("cpu")
Logits = Callable[[Agent | None, Sequence[int]], Tensor]


class PlainAgents:
    """The same adapters through stock transformers and stock PEFT."""

    def __init__(
        self,
        folder: Path,
        adapters: Path,
        names: Sequence[Agent],
        device: torch.device = _CPU,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        base = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=dtype)
        self.model = PeftModel.from_pretrained(
            base, adapters / names[0], adapter_name=names[0], is_trainable=True
        )
        for name in names[1:]:
            self.model.load_adapter(str(adapters / name), adapter_name=name, is_trainable=True)
        self.model.eval().to(device)
        self.device = device

    def logits(self, agent: Agent | None, token_ids: Sequence[int]) -> Tensor:
        """[T, V] for one sequence; without an agent, or of one without an adapter, of the base."""
        ids = torch.tensor([list(token_ids)], device=self.device)
        if agent not in self.model.peft_config:
            with self.model.disable_adapter(), torch.no_grad():
                return self.model(ids).logits[0].float()
        self.model.set_adapter(agent)
        return self.model(ids).logits[0].float()


def merged_logprobs(logits: Tensor, end_ids: Sequence[int]) -> Tensor:
    """log-softmax with all end tokens as one symbol."""
    logits = logits.clone()
    end = logits[..., list(end_ids)].logsumexp(-1)
    logits[..., list(end_ids)] = float("-inf")
    logits[..., end_ids[0]] = end
    return logits.log_softmax(-1)


class PlainEngine:
    """Encodes everything anew for every token."""

    def __init__(self, agents: PlainAgents, end_ids: Sequence[int], draws: Draws) -> None:
        self.agents, self.end_ids, self.draws = agents, tuple(end_ids), draws

    def playing(self) -> AbstractContextManager[None]:
        return nullcontext()

    @torch.no_grad()
    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        return [self._write(request) for request in requests]

    def _write(self, request: WriteRequest) -> Written:
        key = self.draws.of_sample(request.sample).key(request.problem_id, request.branch, request.turn)
        table = uniforms([key], 2 * request.max_tokens + 1)[0]
        move, logprobs, others, runners = list(request.forced), [], [], []
        runner_logprobs = []
        while len(move) < request.max_tokens and move[-1:] != [self.end_ids[0]]:
            logits = self.agents.logits(request.agent, (*request.prefix, *move))[-1]
            p = merged_logprobs(logits, self.end_ids).double().exp().cpu().numpy()
            if not move:
                p[self.end_ids[0]] = 0
            p = p / p.sum()
            token = _pick(p, table[2 * len(move)])
            rest = p.copy()
            rest[token] = 0
            logprobs.append(np.log(p[token]))
            others.append(rest.sum())
            runners.append(_pick(rest, table[2 * len(move) + 1]))
            runner_logprobs.append(np.log(p[runners[-1]]))
            move.append(token)
        other, other_logprob = None, float("nan")
        if request.alternative and sum(others) > 0:
            weights = np.array(others) * np.exp(np.concatenate([[0], np.cumsum(logprobs[:-1])]))
            split = _pick(weights, table[-1])
            other = (*move[:split], runners[split])
            other_logprob = sum(logprobs[:split]) + runner_logprobs[split]
        return Written(tuple(move), float(sum(logprobs)), other, float(other_logprob))

    @torch.no_grad()
    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        chosen = []
        for request in requests:
            logits = self.agents.logits(request.agent, (*request.prefix, *request.suffix))[-1]
            both = logits[list(request.options)].double().softmax(-1).cpu().numpy()
            key = self.draws.of_sample(request.sample).key(request.problem_id, request.branch, request.turn)
            first, second = uniforms([key], 2)[0]
            option = _pick(both, first)
            mass = float(logits.softmax(-1)[list(request.options)].sum())
            rest = np.array([0.0 if word == option else weight for word, weight in enumerate(both)])
            other = _pick(rest, second)
            logprobs = np.log(both)
            chosen.append(Chosen(option, float(logprobs[option]), mass, other, float(logprobs[other])))
        return chosen


def _pick(weights: np.ndarray, uniform: float) -> int:
    cumulative = weights.cumsum()
    return int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))


def padded_scores(pairs: Sequence[PreferencePair], prompts: PromptBook, agents: PlainAgents) -> PairScores:
    """Every chosen and rejected move as a sequence of its own, policy and reference."""
    scored: dict[str, list[Tensor]] = {name: [] for name in PairScores.__dataclass_fields__}
    for pair in pairs:
        for side, move in (("chosen", pair.chosen), ("rejected", pair.rejected)):
            for who, agent in (("policy", pair.agent), ("reference", None)):
                scored[f"{who}_{side}"].append(_move_logprob(pair, move, prompts, agents, agent))
            scored[f"{side}_tokens"].append(torch.tensor(float(len(move.token_ids)), device=agents.device))
    return PairScores(**{name: torch.stack(values) for name, values in scored.items()})


def padded_move_scores(lessons: Sequence[Lesson], prompts: PromptBook, agents: PlainAgents) -> MoveScores:
    """Every move of these lessons as a sequence of its own, policy and reference."""
    policy, reference = (
        torch.stack(
            [
                _move_logprob(lesson, move, prompts, agents, agent)
                for lesson in lessons
                for move in lesson.moves
            ]
        )
        for agent in (lessons[0].agent, None)
    )
    return MoveScores(policy, reference, policy.detach(), torch.ones_like(policy))


def _move_logprob(
    pair: Lesson, move: Move, prompts: PromptBook, agents: PlainAgents, agent: Agent | None
) -> Tensor:
    context = prompts.context(pair.agent, pair.problem, pair.prefix)
    before = (*context.prefix, *context.suffix)
    logits = agents.logits(agent, (*before, *move.token_ids))[len(before) - 1 : -1]
    if move.option is not None:
        return logits[0, list(prompts.options(pair.agent))].log_softmax(-1)[move.option]
    logprobs = merged_logprobs(logits, prompts.end_ids)
    return logprobs.gather(1, torch.tensor(move.token_ids, device=logits.device)[:, None]).sum()


def replayed_logprob(
    tree: RolloutTree, moves: Sequence[Move], index: int, prompts: PromptBook, agents: PlainAgents
) -> Tensor:
    """What a move on a path was drawn with: as its score, but no chunk begins with the end token."""
    pair = PreferencePair(
        tree.problem, index, moves[index].agent, tuple(moves[:index]), moves[index], moves[index]
    )
    score = _move_logprob(pair, moves[index], prompts, agents, pair.agent)
    if moves[index].option is not None:
        return score
    context = prompts.context(pair.agent, pair.problem, pair.prefix)
    first = merged_logprobs(agents.logits(pair.agent, context.token_ids)[-1:], prompts.end_ids)[0]
    return score - torch.log1p(-first[prompts.end_ids[0]].exp())


def padded_loss(
    pairs: Sequence[PreferencePair], prompts: PromptBook, agents: PlainAgents, loss: PreferenceLoss
) -> Tensor:
    return loss(padded_scores(pairs, prompts, agents)).mean()
