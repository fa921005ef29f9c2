"""Flow-DPO (arXiv 2410.22304): two LoRA agents on one frozen base, trained online from mined preferences."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flowdpo_pl.quiet import quiet

quiet()

__version__ = "0.1.0"

_HOMES = {
    "AdapterStrategy": "modules.adapter_strategy",
    "AfterMark": "data.gold",
    "AgentPrompt": "play.prompts",
    "AnswerStopFlow": "play.flows.answer_stop",
    "Automatic": "data.gold",
    "BaseModel": "model.base",
    "Boxed": "data.gold",
    "Budget": "play.team",
    "Choose": "play.flow",
    "CurvePoint": "results.run_results",
    "CriticFlow": "play.flows.critic",
    "DebateFlow": "play.flows.debate",
    "EngineSettings": "play.engines.engine_settings",
    "EvaluationModule": "modules.evaluation_module",
    "Exploration": "play.exploration",
    "Flow": "play.flow",
    "FlowDPOModule": "modules.flow_dpo_module",
    "FunctionVerifier": "verify.function_verifier",
    "GoldExtractor": "data.gold",
    "Grouping": "data.grouping",
    "HashMarked": "data.gold",
    "HingeLoss": "learn.losses",
    "IPOLoss": "learn.losses",
    "KeepTogether": "data.grouping",
    "Learning": "learn.preference_learner",
    "LengthNormalisedLoss": "learn.losses",
    "LocalVLLM": "play.engines.vllm.settings",
    "LoraSettings": "model.lora",
    "MadeWith": "made_with",
    "MarkedAnswerVerifier": "verify.math_verifier",
    "MathVerifier": "verify.math_verifier",
    "MetricsTable": "modules.metrics_table",
    "Native": "play.engines.engine_settings",
    "Node": "play.flow",
    "NodeAlternatives": "play.exploration",
    "OneRewritePerSeed": "data.grouping",
    "PairScores": "learn.losses",
    "Move": "types",
    "Plain": "data.gold",
    "PlannerSolverFlow": "play.flows.planner_solver",
    "PreferenceLoss": "learn.losses",
    "Problem": "types",
    "ProblemSource": "data.problem_source",
    "PromptDataModule": "modules.prompt_data_module",
    "RayAdapterStrategy": "modules.ray_strategy",
    "RenderedEquation": "data.solutions",
    "RolloutTree": "types",
    "RunResults": "results.run_results",
    "SFTModule": "modules.sft_module",
    "Sampling": "play.engines.sampling",
    "SigmoidLoss": "learn.losses",
    "SigmoidNLLLoss": "learn.losses",
    "SingleFlow": "play.flows.single",
    "Solution": "data.solutions",
    "Start": "play.team",
    "SupervisedLearning": "learn.supervised_learner",
    "Team": "play.team",
    "TensorBoard": "modules.tensor_board",
    "TraceDataModule": "modules.trace_data_module",
    "Trainer": "modules.trainer",
    "VLLM": "play.engines.vllm.settings",
    "Verdict": "types",
    "Verifier": "verify.verifier",
    "WeightsAndBiases": "modules.weights_and_biases",
    "WholeTrajectories": "play.exploration",
    "WorkedSolution": "data.solutions",
    "Write": "play.flow",
    "exact": "verify.exact",
    "f1": "verify.f1",
    "multiple_choice": "verify.multiple_choice",
    "numeric": "verify.numeric",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: light commands stay light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'flowdpo_pl' has no attribute {name!r}")
    return getattr(import_module(f"flowdpo_pl.{_HOMES[name]}"), name)
