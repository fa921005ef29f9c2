"""A module that answers without a language model: `test` and `predict` of scripted problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule
from torch.utils.data import DataLoader

from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.judged_answers import JudgedAnswers
from flowdpo_pl.results.predictions import Prediction
from flowdpo_pl.results.traces import Trace
from flowdpo_pl.types import Problem
from tests.callbacks.playing import do_nothing
from tests.runs import trainer

PROBLEMS = [f"p{number}" for number in range(8)]
BATCH = 3
MADE_BY: dict[str, Any] = {"base": "none", "seed": 7}


def problem(name: str) -> Problem:
    number = int(name[1:])
    return Problem(name, f"question {number}?", str(number), labels=(("level", str(number // 4)),))


def prediction(name: str) -> Prediction:
    """Right for every second problem."""
    asked = problem(name)
    return Prediction(
        problem_id=name,
        question=asked.question,
        gold=asked.gold,
        text=f"é {asked.gold}",
        correct=int(asked.gold) % 2 == 0,
        tokens=10,
        labels=dict(asked.labels),
    )


def trace(name: str) -> Trace:
    own = prediction(name)
    return Trace(
        name, own.question, own.gold, own.text, own.correct, generated_tokens=own.tokens, made_by=MADE_BY
    )


class Evaluated(LightningModule):
    """Three problems a batch; an interrupted run's are not answered again."""

    def __init__(self, before_batch: Callable[[int], None] = do_nothing, total: int | None = 8) -> None:
        super().__init__()
        self.before_batch = before_batch
        self.problems_expected = total
        self.results: JudgedAnswers | CollectedTraces = JudgedAnswers()
        self.answered_now: list[str] = []

    def resume_from(self, path: Path) -> None:
        self.results.resume_from(path, MADE_BY)

    def summary(self) -> dict[str, Any]:
        return {
            **self.results.summary(),
            "generated_tokens": self.results.generated_tokens,
            "ended_by": "data",
            "made_by": MADE_BY,
            "unknown": float("nan"),
        }

    def test_dataloader(self) -> DataLoader[str]:
        return DataLoader(PROBLEMS, batch_size=BATCH, collate_fn=list)  # type: ignore[arg-type]

    def predict_dataloader(self) -> DataLoader[str]:
        return self.test_dataloader()

    def setup(self, stage: str) -> None:
        self.results = CollectedTraces() if stage == "predict" else JudgedAnswers()

    def test_step(self, batch: Sequence[str], batch_idx: int) -> dict[str, list[str]]:
        assert isinstance(self.results, JudgedAnswers)
        self.before_batch(batch_idx)
        earlier = {name: self.results.earlier(problem(name)) for name in batch}
        new = [name for name in batch if earlier[name] is None]
        self.answered_now += new
        self.results.add([earlier[name] or [prediction(name)] for name in batch])
        return {"answered": new}

    def predict_step(self, batch: Sequence[str], batch_idx: int) -> list[str]:
        assert isinstance(self.results, CollectedTraces)
        self.before_batch(batch_idx)
        new = [name for name in batch if name not in self.results.traces]
        self.answered_now += new
        self.results.add([trace(name) for name in new])
        return new


def run_test(
    folder: Path, *callbacks: Callback, module: Evaluated | None = None, **options: Any
) -> Evaluated:
    module = module or Evaluated()
    trainer(folder, *callbacks, **options).test(module, verbose=False)
    return module


def run_predict(
    folder: Path, *callbacks: Callback, module: Evaluated | None = None, **options: Any
) -> Evaluated:
    module = module or Evaluated()
    trainer(folder, *callbacks, **options).predict(module)
    return module
