"""Short real runs of the quickstart's model through Lightning, for equivalences."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.learn.learner import Learning
from flowdpo_pl.learn.losses import SigmoidLoss
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt
from flowdpo_pl.play.team import Team
from flowdpo_pl.verify.math_verifier import MarkedAnswerVerifier

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "quickstart" / "model"
PROMPTS = {
    ANSWER: AgentPrompt("{question}"),
    STOP: AgentPrompt("{question} Draft: {partial} Finished?", options=("Yes", "No")),
}


def module(**options: Any) -> FlowDPOModule:
    """With options of the module and of its team."""
    arguments: dict[str, Any] = {
        "learning": Learning(lr=3e-3, loss=SigmoidLoss(beta=1.0)),
        "verifier": MarkedAnswerVerifier(),  # decides these drafts without a worker, which takes a second
        "max_problems": 24,
    }
    return FlowDPOModule(**{**arguments, **with_team(options)})


def with_team(options: dict[str, Any]) -> dict[str, Any]:
    """The options, those of a team as one: the quickstart's model with short chunks unless they say else."""
    of_team: dict[str, Any] = {
        "base": BaseModel(str(MODEL), dtype="float32"),
        "prompts": PROMPTS,
        "flow": AnswerStopFlow(chunk_tokens=12, max_chunks=4),
        "lora": LoraSettings(r=4, alpha=8, dropout=0.0),
    }
    names = {field.name for field in fields(Team)}
    of_team |= {name: value for name, value in options.items() if name in names}
    others = {name: value for name, value in options.items() if name not in names}
    return {"team": Team(**of_team), **others}


def data(**options: Any) -> PromptDataModule:
    train = ProblemSource(str(ROOT / "quickstart/problems/train.jsonl"))
    valid = ProblemSource(str(ROOT / "quickstart/problems/valid.jsonl"), limit=16)
    arguments: dict[str, Any] = {"train": train, "validation": valid, "chunk_size": 16, "batch_size": 8}
    return PromptDataModule(**{**arguments, **options})


def trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    return Trainer(
        accelerator=options.pop("accelerator", "cpu"),
        devices=options.pop("devices", 1),
        default_root_dir=folder,
        max_epochs=-1,
        num_sanity_val_steps=0,
        limit_val_batches=options.pop("limit_val_batches", 0),
        logger=False,
        enable_checkpointing=options.pop("enable_checkpointing", False),
        enable_progress_bar=options.pop("enable_progress_bar", False),
        enable_model_summary=False,
        callbacks=list(callbacks),
        **options,
    )


class Recorder(Callback):
    """Keeps what every batch returned and which problems it played."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []
        self.problems: list[list[str]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.values.append(dict(outputs))
        self.problems.append([problem.id for problem in batch])


def weights(run: FlowDPOModule) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in run.players.agents.adapter_state().items()}
