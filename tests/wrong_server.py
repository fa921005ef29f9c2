"""A served run whose server goes wrong in the middle of a batch, while all names are as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, local
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.coin import coin
from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.learner import Learning
from flowdpo_pl.learn.losses import SigmoidLoss
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.engines.vllm.guard import Guard
from flowdpo_pl.play.engines.vllm.settings import VLLM
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from tests.fake_vllm import FakeVLLM, Floats, PeftLogits, serving
from tests.runs import MODEL, Recorder, data, module, trainer, weights

FAST = Learning(lr=5e-2, loss=SigmoidLoss(beta=1.0))
"""Two updates that can be seen."""


@dataclass
class Changing:
    """Logits of the right weights, until they are others."""

    right: PeftLogits
    other_base: PeftLogits
    strong: Path
    """An adapter that nobody plays."""
    instead: Callable[[Changing, Path | None], tuple[PeftLogits, Path | None]] | None = None
    spared: local = field(default_factory=local)
    """Its `now` is true in a thread whose request gets the right weights all the same."""
    now: dict[str, Path] = field(default_factory=dict)
    """Folders of today's adapters, by agent."""

    def __call__(self, folder: Path | None, token_ids: Any) -> Floats:
        spared = getattr(self.spared, "now", False)
        logits, kept = (self.right, folder) if self.instead is None or spared else self.instead(self, folder)
        return logits(kept, token_ids)


def the_base(of: Changing, folder: Path | None) -> tuple[PeftLogits, Path | None]:
    return of.right, None if folder == of.now[ANSWER] else folder


def the_other_agent(of: Changing, folder: Path | None) -> tuple[PeftLogits, Path | None]:
    return of.right, of.now[ANSWER] if folder == of.now[STOP] else folder


def swapped(of: Changing, folder: Path | None) -> tuple[PeftLogits, Path | None]:
    names = {of.now[ANSWER]: of.now[STOP], of.now[STOP]: of.now[ANSWER]}
    return of.right, folder if folder is None else names.get(folder, folder)


def other_weights(of: Changing, folder: Path | None) -> tuple[PeftLogits, Path | None]:
    return of.right, of.strong if folder == of.now[ANSWER] else folder


def another_base(of: Changing, folder: Path | None) -> tuple[PeftLogits, Path | None]:
    return of.other_base, folder


KINDS = (the_base, the_other_agent, swapped, other_weights, another_base)


@dataclass(frozen=True)
class Ended:
    """How a run has ended."""

    told: str
    """Its sentence; empty: it went on."""
    problems: int
    learnt_nothing: bool
    """From the batch in which the server went wrong."""
    values: list[dict[str, float]]


def run_that_goes_wrong(
    kind: Callable[[Changing, Path | None], tuple[PeftLogits, Path | None]],
    folder: Path,
    after: int = 8,
    batch: int = 4,
    canaries_too: bool = True,
    **options: Any,
) -> Ended:
    """Fit on a scripted server that is another from the first move after `after` problems.

    Args:
        kind: what it plays then.
        folder: an empty one.
        after: problems; a multiple of `batch`.
        batch: problems of a batch.
        canaries_too: whether the guard's own requests get the wrong weights too.
        options: of the module.
    """
    recorder, once = Recorder(), Lock()
    learnt: list[dict[str, torch.Tensor]] = []
    logits = _changing(folder)
    fake = FakeVLLM(logits)
    (folder / "adapters").mkdir()
    answer = fake.answer
    with serving(fake) as url:
        engine = VLLM([url], folder=str(folder / "adapters"), gap_warns=0.02, gap_stops=0.05)
        run: FlowDPOModule = module(
            **{"engine": engine, "learning": FAST, "max_problems": after + batch, **options}
        )
        agents = run.players.agents
        with agents.lent(ANSWER, Guard(agents, run.players.head).strong(1)):
            agents.save(folder / "strong", [ANSWER])

        def later(path: str, body: dict[str, Any]) -> tuple[int, Any]:
            asks = body.get("sampling_params", {})
            canary = asks.get("seed") == 1
            if asks and not canary and run.problems_seen == after and once.acquire(blocking=False):
                learnt.append(weights(run))
                logits.now = {name.split("-")[0]: kept for name, kept in fake.adapters.items()}
                logits.instead = kind
            logits.spared.now = canary and not canaries_too
            return answer(path, body)

        fake.answer = later  # type: ignore[method-assign]
        told = ""
        try:
            trainer(folder, recorder).fit(run, data(batch_size=batch, chunk_size=batch))
        except UserError as error:
            told = str(error)
    now = weights(run)
    same = all(torch.equal(value, now[name]) for name, value in learnt[0].items())
    return Ended(told, run.problems_seen, same and run.at_boundary, recorder.values)


def toy() -> dict[str, Any]:
    """Options of a run that costs little a problem and always has pairs."""
    return {"flow": AnswerStopFlow(chunk_tokens=2, max_chunks=2), "verifier": f"{coin.__module__}.coin"}


def _changing(folder: Path) -> Changing:
    torch.manual_seed(3)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(MODEL)).save_pretrained(folder / "other")
    right, other = PeftLogits(MODEL), PeftLogits(folder / "other")
    other._lock = right._lock  # loading is not safe beside another thread's forward
    return Changing(right, other, folder / "strong" / ANSWER)
