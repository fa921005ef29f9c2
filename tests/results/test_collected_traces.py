"""Traces are collected until one is right, the tokens are spent, or an earlier run has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.traces import to_line
from tests.play.test_main_chains import PROBLEMS, chains


def test_each_problem_is_tried_until_it_is_right_and_no_more() -> None:
    players, collected = chains(), CollectedTraces(attempts=3, source="flow")
    assert collected.step(PROBLEMS, players) == [problem.id for problem in PROBLEMS]
    for problem, tries in zip(PROBLEMS, players.play(PROBLEMS, range(3)).trees, strict=True):
        trace = collected.traces[problem.id]
        right = [tree.main.correct for tree in tries]
        assert trace.attempts == (right.index(True) + 1 if any(right) else 3)
        last = tries[trace.attempts - 1].main
        assert trace.trace == last.answer
        assert trace.token_ids == players.players.prompts.answer_ids(last.moves)
        assert players.players.prompts.wrote(trace.token_ids, trace.trace)
        assert (trace.source, trace.correct) == ("flow", any(right))
        assert trace.made_by == {**players.made_by, "attempts": 3, "accept_from": None}
    summary = collected.summary()
    assert summary["attempts"] == sum(trace.attempts for trace in collected.traces.values())
    assert summary["accepted"] == sum(trace.correct for trace in collected.traces.values())


def test_what_an_earlier_run_has_is_not_tried_again(tmp_path: Path) -> None:
    players, whole = chains(), CollectedTraces(attempts=2)
    whole.step(PROBLEMS, players)
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(to_line(whole.traces[problem.id]) for problem in PROBLEMS[:3]))
    resumed = CollectedTraces(attempts=2)
    resumed.resume_from(path, {**players.made_by, **resumed.settings})
    assert resumed.resumed == 3 and resumed.step(PROBLEMS, players) == [PROBLEMS[3].id]
    assert resumed.traces == whole.traces
    other = CollectedTraces(attempts=4)
    with pytest.raises(UserError, match=r"traces\.jsonl was made otherwise: attempts was 2 and is 4"):
        other.resume_from(path, {**players.made_by, **other.settings})


def test_another_arm_or_other_answers_under_the_same_ids_are_refused(tmp_path: Path) -> None:
    players, whole = chains(), CollectedTraces(source="flow")
    whole.step(PROBLEMS, players)
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(map(to_line, whole.traces.values())))
    made_by = {**players.made_by, **whole.settings}
    with pytest.raises(UserError, match="source was flow and is self"):
        CollectedTraces(source="self").resume_from(path, made_by)
    for changed, what in (({"gold": "other"}, "gold answer"), ({"question": "1 2 ?"}, "question")):
        resumed = CollectedTraces(source="flow")
        moved = {**made_by, "base": {**made_by["base"], "path": "./elsewhere"}}  # the fingerprint is the same
        resumed.resume_from(path, moved)
        assert resumed.step(PROBLEMS[:1], players) == []
        with pytest.raises(UserError, match=rf"problem {PROBLEMS[1].id} .* made for another {what}"):
            resumed.step([replace(PROBLEMS[1], **changed)], players)


def test_spent_tokens_end_the_run_before_the_next_batch() -> None:
    players, collected = chains(), CollectedTraces(max_generated_tokens=1)
    assert not collected.out_of_tokens and collected.step(PROBLEMS[:1], players)
    assert collected.summary()["out_of_tokens"]
    with pytest.raises(StopIteration):
        collected.step(PROBLEMS[1:], players)
