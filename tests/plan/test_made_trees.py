"""Trees as the rules allow them. Also tests `plan.sketched_prompts`, `plan.workload` and `plan.demand`."""

from __future__ import annotations

import pytest

from flowdpo_pl.learn.losses import SigmoidLoss
from flowdpo_pl.learn.policy_gradient import PolicyGradient
from flowdpo_pl.plan.made_trees import all_tied, deepest_lessons, made_tree
from flowdpo_pl.plan.sketched_prompts import PromptShape, SketchedPrompts
from flowdpo_pl.plan.workload import Workload, counted, supervised
from flowdpo_pl.play.exploration import Exploration, NodeAlternatives, NodeGroups, WholeTrajectories
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.play.flows.critic import CriticFlow
from flowdpo_pl.play.flows.debate import DebateFlow
from flowdpo_pl.play.flows.planner_solver import PlannerSolverFlow
from flowdpo_pl.play.flows.single import SingleFlow

PAIRS = {"answer": SigmoidLoss(), "stop": SigmoidLoss()}
GROUPS = {"answer": PolicyGradient(), "stop": PolicyGradient()}
SHAPES = {"answer": PromptShape((10,)), "stop": PromptShape((20, 5), ("{partial}",))}


def taken(flow: Flow, exploration: Exploration, most: int | None = None) -> Workload:
    return counted([made_tree(flow, exploration, most)], SketchedPrompts(flow, SHAPES), PAIRS)


def test_a_full_tree_has_as_many_chunks_as_the_rules_allow() -> None:
    for chunks in (1, 2, 6):
        flow = AnswerStopFlow(chunk_tokens=7, max_chunks=chunks)
        found = taken(flow, NodeAlternatives())
        assert found.generated == 7 * (chunks + chunks * (chunks + 1) // 2)


def test_a_single_model_writes_once_and_remembers_prompt_and_answer() -> None:
    found = taken(SingleFlow(30), Exploration())
    assert (found.generated, found.read, found.cached) == (30, 10, 40)
    assert [(wave.rows, wave.tokens, wave.context) for wave in found.waves] == [(1, 30, 10)]
    assert not found.packs


def test_a_packed_tree_is_the_prompt_and_both_moves_of_every_node() -> None:
    flow = AnswerStopFlow(chunk_tokens=7, max_chunks=3)
    packs = taken(flow, NodeAlternatives()).packs
    (answer,), (stop,) = packs["answer"], packs["stop"]
    last_tokens = 1 + 3  # of the trunk and of each alternative: only predicted
    assert answer.tokens == 10 + 2 * 21 - last_tokens and answer.scored == 2 * 21
    assert stop.tokens == 20 + 14 + 2 * 5 and stop.scored == 0


def test_a_shorter_answer_ends_when_it_is_long_enough() -> None:
    flow = AnswerStopFlow(chunk_tokens=7, max_chunks=6)
    assert len(made_tree(flow, Exploration(), 13).main.moves) == 4
    assert taken(flow, Exploration(), 5).generated == 5


def test_one_pair_an_agent_is_the_deepest_of_them() -> None:
    flow = AnswerStopFlow(chunk_tokens=7, max_chunks=3)
    tree = deepest_lessons(made_tree(flow, NodeAlternatives()))
    packs = counted([tree], SketchedPrompts(flow, SHAPES), PAIRS).packs
    assert packs["answer"][0].tokens == 10 + 14 + 2 * 7 - 2 and packs["answer"][0].scored == 2 * 7
    assert packs["stop"][0].tokens == 20 + 14 + 5


def test_a_group_is_every_draw_of_its_node() -> None:
    flow = AnswerStopFlow(chunk_tokens=7, max_chunks=3)
    tree, book = made_tree(flow, NodeGroups(draws=4)), SketchedPrompts(flow, SHAPES)
    (answer,) = counted([tree], book, GROUPS).packs["answer"]
    assert answer.scored == 4 * 21 and answer.tokens == 10 + 4 * 21 - (1 + 3 * 3)
    (one,) = counted([deepest_lessons(tree)], book, GROUPS).packs["answer"]
    assert one.scored == 4 * 7 and one.tokens == 10 + 14 + 4 * 7 - 4


def test_two_whole_paths_make_one_pair() -> None:
    found = taken(SingleFlow(30), WholeTrajectories())
    assert found.generated == 60 and found.packs["answer"][0].scored == 60


def test_a_trace_sees_itself_block_by_block() -> None:
    (row,) = supervised("answer", 100, 201, 1).packs["answer"]
    assert row.tokens == 300 and row.scored == 201 and row.seen == (128, 256, 300)


@pytest.mark.parametrize("flow", [CriticFlow(9, 4, 2), DebateFlow(9), PlannerSolverFlow(4, 9)])
def test_any_flow_can_be_planned(flow: Flow) -> None:
    shapes = {agent: PromptShape((11,)) for agent in flow.agents}
    tree = made_tree(flow, NodeAlternatives())
    assert len(tree.main.moves) == flow.max_moves == len(tree.forks)
    found = counted([tree], SketchedPrompts(flow, shapes), dict.fromkeys(flow.agents, SigmoidLoss()))
    assert set(found.packs) == set(flow.agents) and found.generated > flow.max_answer_tokens
    assert found.times(3, 2).packed_tokens == 2 * found.packed_tokens


def test_what_learns_from_ties_learns_from_every_node() -> None:
    flow = AnswerStopFlow(chunk_tokens=7, max_chunks=3)
    tree, book = made_tree(flow, NodeGroups(draws=4)), SketchedPrompts(flow, SHAPES)
    costly = {"answer": PolicyGradient(kl=0.1), "stop": SigmoidLoss()}
    tied = counted([all_tied(tree)], book, costly).packs
    assert tied == {"answer": counted([tree], book, costly).packs["answer"]}
