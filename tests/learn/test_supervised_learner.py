"""The learning rate's course and a trace's tokens.

The learner itself is compared with plain training in test_sft_module.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.supervised_learner import SupervisedLearner, SupervisedLearning, trace_tokens
from flowdpo_pl.play.flows.answer_stop import ANSWER
from flowdpo_pl.results.traces import Trace
from tests.conftest import World

TRACE = Trace("p", "1 plus 2 ?", "3", "the answer is 3", True)


def test_the_rate_rises_then_falls_linearly_and_is_never_zero() -> None:
    learning = SupervisedLearning(lr=1.0, warmup_ratio=0.4)
    rates = [learning.lr_at(update, 10) for update in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert learning.lr_at(10, 10) == 0.0
    assert SupervisedLearning(lr=1.0, warmup_ratio=0.0).lr_at(0, 10) == 1.0
    assert SupervisedLearning(lr=1.0, warmup_ratio=1.0).lr_at(9, 10) == 1.0


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(UserError, match=r"warmup_ratio is 10: give at least 0 and at most 1"):
        SupervisedLearning(warmup_ratio=10)


def test_a_trace_keeps_the_tokens_that_it_was_written_in(make_world: Callable[..., World]) -> None:
    prompts = make_world().prompts
    end = prompts.end_ids[0]
    *ids, last = prompts.written(TRACE.trace)
    assert last == end
    assert trace_tokens(TRACE, prompts).token_ids == (*ids, end)
    kept = trace_tokens(replace(TRACE, token_ids=tuple(ids)), prompts)
    assert (kept.token_ids, kept.note) == ((*ids, end), "")


@pytest.mark.parametrize("foreign", [(1,), (10**6,), (2, 3), (-1,)])
def test_tokens_of_another_tokenizer_are_not_taken_but_counted(
    make_world: Callable[..., World], foreign: tuple[int, ...]
) -> None:
    prompts = make_world().prompts
    found = trace_tokens(replace(TRACE, token_ids=foreign), prompts)
    assert found.token_ids == prompts.written(TRACE.trace)
    assert found.note == "tokenised again, in other tokens"


@pytest.mark.parametrize("control", ["<end>", "<eot>", "<user>"])
def test_a_trace_with_a_control_token_has_a_finite_loss(
    make_world: Callable[..., World], control: str
) -> None:
    world = make_world()
    trace = replace(TRACE, trace=f"the answer {control} is 3")
    found = trace_tokens(trace, world.prompts)
    assert not set(found.token_ids[:-1]) & set(world.prompts.end_ids)
    assert found.note == "with control tokens, read as text"
    learner = SupervisedLearner(world.players, ANSWER, world.draws, lambda _: None, token_budget=4096)
    loss, tokens = learner.measure([trace, TRACE])
    assert math.isfinite(loss) and tokens == 6 + 5
