"""The rules, move by move: whose turn it is, and when a flow is over."""

from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.flow import Choose, Flow, Turn, Write
from flowdpo_pl.play.flows.answer_stop import ANSWER, FINISHED, STOP, AnswerStopFlow
from flowdpo_pl.play.flows.single import SingleFlow
from flowdpo_pl.types import Move
from tests.example_trees import choice, written


def played(flow: Flow, choices: list[int]) -> tuple[list[Turn], list[Move]]:
    """All turns, and the moves they got: Stop says its choices in turn, then that it goes on."""
    moves: list[Move] = []
    turns: list[Turn] = []
    left = iter(choices)
    while (turn := flow.turn(moves)) is not None:
        turns.append(turn)
        moves.append(written("text") if isinstance(turn, Write) else choice(next(left, 1 - FINISHED)))
    return turns, moves


def test_stop_is_asked_after_every_chunk_but_the_last() -> None:
    flow = AnswerStopFlow(chunk_tokens=7, max_chunks=3)
    write, choose = Write(ANSWER, 7), Choose(STOP)
    assert played(flow, [])[0] == [write, choose, write, choose, write]
    assert played(flow, [1 - FINISHED, FINISHED])[0] == [write, choose, write, choose]
    assert played(flow, [FINISHED])[0] == [write, choose]


@pytest.mark.parametrize("chunks", [1, 2, 6])
def test_no_path_is_longer_than_the_flow_says(chunks: int) -> None:
    flow = AnswerStopFlow(chunk_tokens=4, max_chunks=chunks)
    turns, moves = played(flow, [])
    assert len(moves) == flow.max_moves
    assert sum(turn.max_tokens for turn in turns if isinstance(turn, Write)) == flow.max_answer_tokens
    assert {turn.agent for turn in turns} <= set(flow.agents)


def test_a_single_agent_writes_once() -> None:
    flow = SingleFlow(max_tokens=9)
    turns, moves = played(flow, [])
    assert turns == [Write(ANSWER, 9)] and flow.agents == (ANSWER,)
    assert (flow.max_moves, flow.max_answer_tokens) == (len(moves), 9)


def test_flows_without_room_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"chunk_tokens is 0: give at least 1"):
        AnswerStopFlow(chunk_tokens=0)
    with pytest.raises(UserError, match=r"max_chunks is -1: give at least 1"):
        AnswerStopFlow(max_chunks=-1)
    with pytest.raises(UserError, match=r"max_tokens is 0: give at least 1"):
        SingleFlow(max_tokens=0)
