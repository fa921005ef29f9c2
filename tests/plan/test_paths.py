"""Tokens of a flow. Also tests `plan.demand`."""

from __future__ import annotations

from flowdpo_pl.plan.paths import PromptTokens, problem_tokens, supervised_tokens
from flowdpo_pl.play.exploration import Exploration, NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.play.flows.single import SingleFlow

PROMPTS = {"answer": PromptTokens(10), "stop": PromptTokens(20, 5)}


def test_a_full_tree_has_as_many_chunks_as_the_rules_allow() -> None:
    for chunks in (1, 2, 6):
        flow = AnswerStopFlow(chunk_tokens=7, max_chunks=chunks)
        tokens = problem_tokens(flow, PROMPTS, NodeAlternatives(), flow.max_written_tokens)
        assert tokens.generated == 7 * (chunks + chunks * (chunks + 1) // 2)


def test_a_single_model_writes_once_and_remembers_prompt_and_answer() -> None:
    tokens = problem_tokens(SingleFlow(30), PROMPTS, Exploration(), 30)
    assert (tokens.generated, tokens.read, tokens.cached) == (30, 10, 40)
    assert [(wave.rows, wave.tokens, wave.context) for wave in tokens.waves] == [(1, 30, 10)]
    assert not tokens.trees


def test_a_packed_tree_is_the_prompt_and_both_moves_of_every_node() -> None:
    flow = AnswerStopFlow(chunk_tokens=7, max_chunks=3)
    trees = problem_tokens(flow, PROMPTS, NodeAlternatives(), 21).trees
    assert trees["answer"].tokens == 10 + 2 * 21 and trees["answer"].scored == 2 * 21
    assert trees["stop"].tokens == 20 + 14 + 2 * 5 and trees["stop"].scored == 0


def test_one_pair_an_agent_is_the_deepest_of_them() -> None:
    flow = AnswerStopFlow(chunk_tokens=7, max_chunks=3)
    pairs = problem_tokens(flow, PROMPTS, NodeAlternatives(), 21).pairs
    assert pairs["answer"].tokens == 10 + 14 + 2 * 7 and pairs["answer"].scored == 2 * 7
    assert pairs["stop"].tokens == 20 + 14 + 5


def test_a_trace_sees_itself_block_by_block() -> None:
    assert supervised_tokens(100, 200).seen == (128, 256, 300)
