"""The rules, move by move: whose turn it is, which moves are the answer, and when a flow is over.

Also tests `play.flows.answer_stop`, `play.flows.single`, `play.flows.critic`, `play.flows.debate` and
`play.flows.planner_solver`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.flow import Choose, Flow, Turn, Write
from flowdpo_pl.play.flows.answer_stop import ANSWER, FINISHED, STOP, AnswerStopFlow
from flowdpo_pl.play.flows.critic import CriticFlow
from flowdpo_pl.play.flows.debate import DebateFlow
from flowdpo_pl.play.flows.planner_solver import PlannerSolverFlow
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


def said(agent: str, option: int | None = None) -> Move:
    return Move(agent, (1,), "", option=option)


def test_a_critic_keeps_an_answer_or_sends_it_back_with_a_note() -> None:
    flow = CriticFlow(draft_tokens=9, note_tokens=4, max_revisions=2)
    drafts = [said("solver") for _ in range(3)]
    path = [drafts[0], said("critic", 1), said("critic"), drafts[1]]
    turns = [flow.turn(path[:place]) for place in range(len(path) + 1)]
    draft, choose = Write("solver", 9), Choose("critic")
    assert turns == [draft, choose, Write("critic", 4), draft, choose]
    assert flow.turn([*path, said("critic", 0)]) is None
    again = [*path, said("critic", 1), said("critic"), drafts[2]]
    assert flow.turn(again) is None  # the last revision stays
    assert flow.answer(path[:1])[0] is drafts[0] and flow.answer(path)[0] is drafts[1]
    assert flow.continues("critic", path[:2]) == path[1:2]  # the note follows its word
    assert not flow.continues("solver", path[:3])  # a new draft begins anew
    assert flow.finishes(path, said("critic", 0)) is True
    assert flow.finishes(path, said("critic", 1)) is False
    assert (flow.max_moves, flow.max_answer_tokens) == (7, 9)
    assert CriticFlow(9, 0, 1).turn([drafts[0], said("critic", 1)]) == draft


def test_a_judge_chooses_whose_answer_it_is() -> None:
    flow = DebateFlow(draft_tokens=9)
    alice, bob = said("alice"), said("bob")
    turns = [flow.turn([alice, bob][:place]) for place in range(3)]
    assert turns == [Write("alice", 9), Write("bob", 9), Choose("judge")]
    for option, chosen in enumerate((alice, bob)):
        path = [alice, bob, said("judge", option)]
        assert flow.turn(path) is None and [*flow.answer(path)] == [chosen]
    assert not flow.answer([alice, bob]) and flow.finishes([alice, bob], said("judge", 0)) is None


def test_a_solver_follows_a_planner() -> None:
    flow = PlannerSolverFlow(plan_tokens=3, answer_tokens=9)
    path = [said("planner"), said("solver")]
    assert [flow.turn(path[:place]) for place in range(3)] == [Write("planner", 3), Write("solver", 9), None]
    assert [*flow.answer(path)] == path[1:] and not flow.continues("planner", [])


class Rules(Flow):
    """Of a test: whatever it says."""

    agents = ("a", "b")
    writer = "a"

    def __init__(
        self,
        says: Callable[[Sequence[Move]], object],
        answer: Callable[[Sequence[Move]], Sequence[Move]] | None = None,
    ) -> None:
        self._says, self._answer = says, answer

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        return self._says(moves)  # type: ignore[return-value]

    def answer(self, moves: Sequence[Move]) -> Sequence[Move]:
        return super().answer(moves) if self._answer is None else self._answer(moves)


def in_turn(*turns: object) -> Callable[[Sequence[Move]], object]:
    return lambda moves: (*turns, None)[len(moves)]


NO_END = r"can go on for more than 1000 moves or in more than 20,000 ways"


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (Rules(in_turn(Write("c", 2))), r"Rules gives a turn to 'c', but its agents are \['a', 'b'\]"),
        (Rules(in_turn("a")), r"Rules.turn returns 'a': return Write"),
        (Rules(in_turn(Write("a", 0))), r"lets 'a' write 0 tokens"),
        (Rules(in_turn(Choose("b", 1))), r"lets 'b' choose among 1 words"),
        (Rules(lambda moves: Write("a", 2)), NO_END),
        (Rules(lambda moves: Choose("b", 3)), NO_END),
        (Rules(in_turn()), r"can end without an answer \(after no move at all\)"),
        (Rules(in_turn(Write("b", 2))), r"can end without an answer \(after b\)"),
        (
            Rules(in_turn(Choose("b")), lambda moves: moves),
            r"Rules.answer returns Move.* return written moves",
        ),
        (
            Rules(in_turn(Choose("b", 2), Choose("b", 3), Write("a", 1))),
            r"lets 'b' choose among \d words and elsewhere among \d",
        ),
    ],
)
def test_rules_that_contradict_themselves_are_refused(flow: Flow, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _ = flow.positions


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"agents": ("a", "b.c")}, r"has an agent called 'b\.c': a name is a letter and then"),
        ({"agents": ("a", "the critic")}, r"has an agent called 'the critic'"),
        ({"agents": ("a", "partial")}, r"has an agent called 'partial': .* which prompts use otherwise"),
        ({"agents": ("a", "b", "a")}, r"names an agent twice"),
        ({"writer": "c"}, r"\.writer is 'c', but its agents are \['a', 'b'\]"),
    ],
)
def test_names_that_can_not_be_are_refused(names: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _ = type("Named", (Rules,), names)(in_turn(Write("a", 2))).positions


def test_a_flow_without_names_is_told_what_is_missing() -> None:
    class Nameless(Flow):
        agents = ("a",)

        def turn(self, moves: Sequence[Move]) -> Turn | None:
            return None

    with pytest.raises(UserError, match=r"Nameless has no `writer`: name its agents, and who writes"):
        _ = Nameless().positions


def test_two_names_and_a_turn_make_a_flow() -> None:
    flow = Rules(in_turn(Write("a", 2), Write("a", 3)))
    assert (flow.max_moves, flow.max_answer_tokens, dict(flow.words)) == (2, 5, {})


def test_a_flow_is_a_dataclass_and_its_agents_have_names_of_their_own() -> None:
    with pytest.raises(UserError, match="Rules is no dataclass: put"):
        Rules(in_turn(Write("a", 2))).require_sound()

    @dataclass(frozen=True)
    class Named(SingleFlow):
        agents = ("answer", "partial")

    with pytest.raises(UserError, match="has an agent called 'partial'"):
        Named().require_sound()
    AnswerStopFlow().require_sound()
