"""Flow-DPO (arXiv 2410.22304): two LoRA agents on one frozen base, trained online from mined preferences."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "AdapterStrategy": "adapter_strategy",
    "AgentPrompt": "prompts",
    "AnswerStopFlow": "flow",
    "BaseModel": "base",
    "EvaluationModule": "evaluation_module",
    "FlowDPOModule": "flow_dpo_module",
    "Learning": "preference_learner",
    "LoraSettings": "agents",
    "MarkedAnswerVerifier": "verifier",
    "MathVerifier": "verifier",
    "NodeAlternatives": "exploration",
    "PromptDataModule": "data",
    "RenderedEquation": "solutions",
    "SFTModule": "sft_module",
    "SigmoidLoss": "losses",
    "SingleFlow": "flow",
    "SupervisedLearning": "supervised_learner",
    "TraceDataModule": "trace_data",
    "WholeTrajectories": "exploration",
    "WorkedSolution": "solutions",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: light commands stay light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'flowdpo_pl' has no attribute {name!r}")
    return getattr(import_module(f"flowdpo_pl.{_HOMES[name]}"), name)
