"""The baseline: what one writes today with transformers' `generate` and PEFT's `set_adapter`.

Every chunk encodes its growing prompt anew; alternatives are redrawn until they differ.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from benchmarks.contenders.stitched_loop import StitchedLoop
from benchmarks.repeat import Measurement
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, WriteRequest, Written
from flowdpo_pl.types import Agent, Problem

Request = TypeVar("Request", WriteRequest, ChooseRequest)


class StitchedEngine:
    """Stock transformers and PEFT with the weights of `agents`, adapters in bf16 (faster here)."""

    def __init__(self, model: str, agents: Agents, end_ids: Sequence[int], rows: int = 64) -> None:
        """`rows`: sequences in one `generate`."""
        base = AutoModelForCausalLM.from_pretrained(model, dtype=agents.dtype, attn_implementation="sdpa")
        base.to(agents.device)
        lora = agents.peft.peft_config
        self.model = get_peft_model(base, LoraConfig(**_shape(lora[agents.names[0]])), agents.names[0])
        for name in agents.names[1:]:
            self.model.add_adapter(name, LoraConfig(**_shape(lora[name])))
        state = agents.adapter_state()
        for name, parameter in self.model.named_parameters():
            if name in state:
                parameter.data = state[name].detach().to(agents.dtype)
        self.model.eval().to(agents.device)
        self.device = agents.device
        self.end_ids = list(end_ids)
        self.rows = rows
        self.generated_tokens = 0

    def playing(self) -> AbstractContextManager[None]:
        """Nothing is kept between calls."""
        return nullcontext()

    @torch.inference_mode()
    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        moves: dict[int, tuple[int, ...]] = {
            index: request.forced for index, request in enumerate(requests) if request.forced
        }
        others: dict[int, tuple[int, ...]] = {}
        self._generate_into(moves, requests, [i for i in range(len(requests)) if i not in moves])
        missing = [i for i, request in enumerate(requests) if request.alternative]
        for _ in range(8):  # redraw until it differs
            self._generate_into(others, requests, missing)
            missing = [i for i in missing if others[i] == moves[i]]
            if not missing:
                break
        for i in missing:
            del others[i]
        return [Written(moves[i], 0.0, others.get(i)) for i in range(len(requests))]

    @torch.inference_mode()
    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        chosen: list[Chosen | None] = [None] * len(requests)
        for agent, part in self._batches(list(enumerate(requests))):
            self.model.set_adapter(agent)
            ids, mask = self._padded([(*r.prefix, *r.suffix) for _, r in part])
            logits = self.model(ids, attention_mask=mask, logits_to_keep=1).logits[:, -1].float()
            for (index, request), row in zip(part, logits, strict=True):
                both = row[list(request.options)].log_softmax(-1)
                option = int(torch.multinomial(both.exp(), 1))
                chosen[index] = Chosen(option, float(both[option]), 1.0, 1 - option, float(both[1 - option]))
        return [one for one in chosen if one is not None]

    def _generate_into(
        self, moves: dict[int, tuple[int, ...]], requests: Sequence[WriteRequest], wanted: Sequence[int]
    ) -> None:
        for agent, part in self._batches([(i, requests[i]) for i in wanted]):
            self.model.set_adapter(agent)
            ids, mask = self._padded([request.prefix for _, request in part])
            output = self.model.generate(
                ids,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=part[0][1].max_tokens,
                eos_token_id=self.end_ids,
                begin_suppress_tokens=self.end_ids,
                pad_token_id=self.end_ids[0],
            )[:, ids.shape[1] :]
            for (index, _), row in zip(part, output.tolist(), strict=True):
                ends = [place for place, token in enumerate(row) if token in self.end_ids]
                moves[index] = tuple(row[: ends[0] + 1] if ends else row)
                self.generated_tokens += len(moves[index])

    def _batches(
        self, requests: list[tuple[int, Request]]
    ) -> Iterator[tuple[Agent, list[tuple[int, Request]]]]:
        for agent in dict.fromkeys(request.agent for _, request in requests):
            of_agent = [entry for entry in requests if entry[1].agent == agent]
            of_agent.sort(key=lambda entry: len(entry[1].prefix))  # less padding
            for start in range(0, len(of_agent), self.rows):
                yield agent, of_agent[start : start + self.rows]

    def _padded(self, sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        length = max(map(len, sequences))
        ids = torch.full((len(sequences), length), self.end_ids[0])
        mask = torch.zeros(len(sequences), length, dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids[row, length - len(sequence) :] = torch.tensor(sequence)
            mask[row, length - len(sequence) :] = 1
        return ids.to(self.device), mask.to(self.device)


def timed_play(loop: StitchedLoop, engine: StitchedEngine, problems: Sequence[Problem]) -> Measurement:
    """One play of the loop around this engine, as the other contenders are measured."""
    before, started = engine.generated_tokens, time.perf_counter()
    alternatives = loop.play(problems)
    tokens, seconds = engine.generated_tokens - before, time.perf_counter() - started
    return {
        "seconds": seconds,
        "generated_tokens": tokens,
        "generated_tokens_per_second": tokens / seconds,
        "trees_per_second": len(problems) / seconds,
        "alternatives": alternatives,
    }


def _shape(config: LoraConfig) -> dict[str, object]:
    names = ("r", "lora_alpha", "target_modules", "task_type")
    return {name: getattr(config, name) for name in names}
