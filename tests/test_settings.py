"""Every number that a config can give: an absurd one is refused with its key, or means something."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import pytest

import callbacks
import flowdpo_pl
from flowdpo_pl import BaseModel, SingleFlow, Team
from flowdpo_pl.errors import UserError
from flowdpo_pl.play.prompts import AgentPrompt

ABSURD = (-1, 0, math.nan, math.inf, -math.inf)
TEAM = Team(BaseModel("models/none"), {"answer": AgentPrompt("{question}")}, SingleFlow())
NEEDED: dict[str, dict[str, Any]] = {
    "EvaluationModule": {"team": TEAM},
    "FlowDPOModule": {"team": TEAM},
    "LocalVLLM": {"python": "python"},
    "VLLM": {"servers": ["http://127.0.0.1:8000"]},
    "FunctionVerifier": {"function": "flowdpo_pl.exact"},
    "SFTModule": {"team": TEAM},
    "ProblemSource": {"path": "problems.jsonl"},
    "TraceDataModule": {"train": ["traces.jsonl"]},
}
"""What a class can't be made without."""
ALLOWED = {
    ("CriticFlow", "note_tokens"): [0],  # only a word
    ("EvaluationModule", "seed"): [0],
    ("EvaluationModule", "accept_from"): [0],  # every answer
    ("FlowDPOModule", "score_margin"): [0],  # any difference
    ("FlowDPOModule", "seed"): [0],
    ("SFTModule", "seed"): [0],
    ("PromptDataModule", "seed"): [0],
    ("TraceDataModule", "seed"): [0],
    ("Learning", "max_grad_norm"): [0],  # never clipped
    ("SupervisedLearning", "max_grad_norm"): [0],
    ("SupervisedLearning", "warmup_ratio"): [0],  # none
    ("SigmoidLoss", "label_smoothing"): [0],  # none
    ("LoraSettings", "dropout"): [0],  # none
    ("NodeAlternatives", "depths"): [0],  # the first move
    ("NodeGroups", "depths"): [0],
    ("PolicyGradient", "kl"): [0],  # no reference
    ("ClippedPolicyGradient", "kl"): [0],
    ("Sampling", "temperature"): [0],  # greedy
    ("RenderedEquation", "decimals"): [0],  # whole numbers
}
"""Which of these numbers mean something, by class and setting."""
NOT_OURS = {"AdapterStrategy", "MetricsTable", "TensorBoard", "WeightsAndBiases"}
"""Arguments of Lightning's own, which it checks."""
NOT_NAMED = {
    "Choose",
    "CurvePoint",
    "Move",
    "MoveGroup",
    "Node",
    "Problem",
    "RolloutTree",
    "RunResults",
    "Trainer",
    "Verdict",
    "Write",
}
"""Exported for code, not for configs."""


@dataclass(frozen=True)
class Setting:
    owner: type
    name: str

    def given(self, value: float) -> object:
        number: Any = {"part": (0.0, value), "depths": (value,)}.get(self.name, value)
        make: Callable[..., object] = self.owner
        return make(**{**NEEDED.get(self.owner.__name__, {}), self.name: number})


def parts(kind: Any) -> set[Any]:
    """A type and all that it is made of: `tuple[float, float] | None` has float."""
    return {kind}.union(*map(parts, get_args(kind))) if get_args(kind) else {kind}


def numbers() -> Iterator[Setting]:
    """Every argument of an exported class that takes a number."""
    for package in (flowdpo_pl, callbacks):
        for name in package.__all__:
            owner = getattr(package, name)
            if name in NOT_OURS | NOT_NAMED or owner.__init__ is object.__init__ or inspect.isabstract(owner):
                continue
            hints = get_type_hints(owner.__init__)
            for setting in inspect.signature(owner).parameters:
                if {int, float} & parts(hints.get(setting)):
                    yield Setting(owner, setting)


SETTINGS = list(numbers())


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: f"{s.owner.__name__}.{s.name}")
def test_an_absurd_number_is_refused_with_its_key_and_range_or_means_something(setting: Setting) -> None:
    allowed = ALLOWED.get((setting.owner.__name__, setting.name), [])
    for value in ABSURD:
        if value in allowed:
            setting.given(value)
            continue
        with pytest.raises(UserError) as caught:
            setting.given(value)
        told = str(caught.value)
        assert setting.name in told and f"{value}" in told and "give " in told, (value, told)


def test_the_search_finds_settings_and_the_table_names_no_other() -> None:
    found = {(setting.owner.__name__, setting.name) for setting in SETTINGS}
    assert {
        ("Learning", "lr"),
        ("LoraSettings", "alpha"),
        ("Budget", "cpu_threads"),
        ("SampleFlows", "n"),
    } < found
    assert {("ProblemSource", "part"), ("MarkedAnswerVerifier", "timeout")} < found
    assert ALLOWED.keys() <= found


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        ("SigmoidLoss", "label_smoothing", 0.5),  # nothing is preferred
        ("SigmoidLoss", "label_smoothing", 1.0),  # the rejected move is
        ("IPOLoss", "tau", -0.1),
        ("SigmoidNLLLoss", "alpha", -0.1),
        ("LoraSettings", "dropout", 1.0),
        ("LoraSettings", "alpha", -8),
        ("Learning", "lr", -5e-6),
        ("FlowDPOModule", "max_problems", -5),
        ("SupervisedLearning", "warmup_ratio", 1.01),
        ("Sampling", "temperature", 1e-40),
        ("Sampling", "temperature", -0.7),
        ("Sampling", "top_p", 1e-50),
        ("Sampling", "top_p", 1.5),
        ("ProblemSource", "part", 1.5),
        ("FlowDPOModule", "seed", 2**32),
        ("FlowDPOModule", "score_margin", 1.0),  # nothing differs by more
        ("EvaluationModule", "accept_from", 1.01),
    ],
)
def test_just_outside_is_refused(owner: str, name: str, value: float) -> None:
    with pytest.raises(UserError, match=name):
        Setting(getattr(flowdpo_pl, owner), name).given(value)
