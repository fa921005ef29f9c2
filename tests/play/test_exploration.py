"""What is played beside the main chain, driven by scripted moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.play.engines.protocol import ChooseRequest, WriteRequest
from flowdpo_pl.play.exploration import (
    Exploration,
    NodeAlternatives,
    NodeGroups,
    WholeTrajectories,
    require_alternatives,
)
from flowdpo_pl.play.flow import Flow, Node
from flowdpo_pl.play.flows.answer_stop import ANSWER, FINISHED, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import Fork, Move, Problem, RolloutTree, Tie, Trajectory, Verdict
from tests.conftest import World
from tests.fakes import END, LastWordJudge, ScriptedEngine, WordTokenizer
from tests.oracles import replayed_logprob

PROMPTS = {
    ANSWER: AgentPrompt("solve {question}"),
    STOP: AgentPrompt("solve {question} so far {partial} finished?", options=("Yes", "No")),
}
WORDS = ("5", "6")


class Dicing:
    """Writes one of two words a chunk and stops or not, by a coin for each (problem, path, turn)."""

    def __init__(self, same: bool = False) -> None:
        self.tokenizer = WordTokenizer()
        self.same = same
        self.engine = ScriptedEngine(self.write, self.choose)

    def write(self, request: WriteRequest) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        side = self.coin(request)
        other = self.tokenizer.ids(WORDS[1 - side]) if request.alternative else None
        return request.forced or self.tokenizer.ids(WORDS[side]), other

    def choose(self, request: ChooseRequest) -> int:
        return FINISHED if self.coin(request) else 1 - FINISHED

    def coin(self, request: WriteRequest | ChooseRequest) -> int:
        path = "" if self.same else request.branch
        return int(Random(f"{request.problem_id} {path} {request.turn}").random() < 0.5)


def grow(exploration: Exploration | None, same: bool = False, count: int = 60) -> tuple[RolloutTree, ...]:
    script = Dicing(same)
    book = PromptBook(AnswerStopFlow(1, 3), PROMPTS, script.tokenizer, (END,))  # type: ignore[arg-type]
    rollouts = Rollouts(book, script.engine, LastWordJudge(), Draws(0))
    return rollouts.play([Problem(f"p{n}", f"six {n}", "6") for n in range(count)], exploration).trees


def ids(path: Trajectory) -> list[tuple[int, ...]]:
    return [move.token_ids for move in path.moves]


def test_two_whole_samples_make_at_most_one_pair_after_a_common_prefix() -> None:
    trees = grow(WholeTrajectories())
    forked = [tree for tree in trees if tree.forks]
    for tree in forked:
        (fork,) = tree.forks
        assert ids(fork.branch)[: fork.node] == ids(tree.main)[: fork.node]
        assert fork.taken.agent == fork.other.agent and fork.taken.token_ids != fork.other.token_ids
    mined = mine(trees)
    assert {pair.agent for pair in mined.pairs} == {ANSWER, STOP}
    assert len(mined.pairs) == sum(tree.main.correct != tree.forks[0].branch.correct for tree in forked)
    assert len({pair.problem.id for pair in mined.pairs}) == len(mined.pairs)
    assert {pair.node for pair in mined.of(STOP)} <= {1, 3}


def test_the_chosen_path_is_the_right_one() -> None:
    for tree in grow(WholeTrajectories()):
        for pair in mine([tree]).pairs:
            right = tree.main if tree.main.correct else tree.forks[0].branch
            assert right.correct and pair.chosen == right.moves[pair.node]
            assert pair.prefix == tree.main.moves[: pair.node]


def test_pairs_of_a_node_are_all_its_right_and_wrong_moves() -> None:
    def path(word: int, right: bool) -> Trajectory:
        return Trajectory((Move(ANSWER, (word,), str(word)),), str(word), Verdict(right))

    main, ends = path(1, right=False), [path(2, right=True), path(2, right=False), path(3, right=True)]
    forks = tuple(Fork(0, main.moves[0], end.moves[0], end, main.verdict) for end in ends)
    pairs = list(RolloutTree(Problem("p", "q", "g"), main, forks).pairs())
    assert [(pair.chosen.text, pair.rejected.text) for pair in pairs] == [("2", "1"), ("3", "1"), ("3", "2")]


def test_several_alternatives_begin_with_the_one_that_there_is(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    one = world.rollouts().play(problems, NodeAlternatives()).trees
    three = world.rollouts().play(problems, NodeAlternatives(each=3)).trees
    for single, several in zip(one, three, strict=True):
        assert several.main == single.main
        assert all(fork in several.forks for fork in single.forks)
        for fork in single.forks:
            at_node = [other for other in several.forks if other.node == fork.node]
            assert len(at_node) == (3 if fork.taken.option is None else 1)
            for other in at_node:
                assert not other.repeats
                moves, node = other.branch.moves, other.node
                replayed = replayed_logprob(several, moves, node, world.prompts, world.plain)
                assert other.other.logprob == pytest.approx(float(replayed.detach()), abs=1e-4)


def test_a_group_is_independent_draws_of_a_writer_and_every_word_of_a_chooser() -> None:
    trees = grow(NodeGroups(draws=5))
    assert [tree.main for tree in trees] == [tree.main for tree in grow(None)]
    repeats = 0
    for tree in trees:
        assert not tree.nodes_without_alternative
        for node, move in enumerate(tree.main.moves):
            forks = [fork for fork in tree.forks if fork.node == node]
            assert all(fork.branch.moves[:node] == tree.main.moves[:node] for fork in forks)
            assert all(fork.branch.moves[node] == fork.other for fork in forks)
            if move.agent == STOP:
                assert [fork.other.option for fork in forks] == [1 - (move.option or 0)]
            else:
                assert len(forks) == 4
                repeats += sum(fork.repeats for fork in forks)
    written = sum(fork.taken.agent == ANSWER for tree in trees for fork in tree.forks)
    assert abs(repeats / written - 0.5) < 0.1, "a coin each, the main chain's among them"
    assert all(fork.tie() is Tie.REPEATED for tree in trees for fork in tree.forks if fork.repeats)
    assert all(pair.chosen.token_ids != pair.rejected.token_ids for pair in mine(trees).pairs)


def test_fewer_groups_are_those_that_alternatives_would_have() -> None:
    def nodes(exploration: Exploration) -> list[set[int]]:
        return [{fork.node for fork in tree.forks} for tree in grow(exploration)]

    assert nodes(NodeGroups(nodes=2)) == nodes(NodeAlternatives(alternatives=2))
    assert nodes(NodeGroups(agents=(STOP,))) == nodes(NodeAlternatives(agents=(STOP,)))
    with pytest.raises(UserError, match=r"model\.exploration leaves no node to explore"):
        NodeGroups(depths=(0,), agents=(STOP,)).require_fits(AnswerStopFlow(1, 3))


def test_equal_endings_and_equal_paths_teach_nothing() -> None:
    trees = grow(WholeTrajectories())
    ties = Counter(tie for tree in trees for fork in tree.forks if (tie := fork.tie()))
    assert ties[Tie.BOTH_RIGHT] and ties[Tie.BOTH_WRONG]
    same = sum(len(tree.nodes_without_alternative) for tree in trees)
    assert len(mine(trees).pairs) + ties.total() + same == 60
    for tree in grow(WholeTrajectories(), same=True):
        assert tree.forks == () and tree.nodes_without_alternative == (0,)


def test_the_main_chain_does_not_depend_on_what_is_explored() -> None:
    chains = [
        [ids(tree.main) for tree in grow(exploration)]
        for exploration in (None, NodeAlternatives(), WholeTrajectories())
    ]
    assert chains[0] == chains[1] == chains[2]


def test_the_second_sample_has_draws_of_its_own() -> None:
    script = Dicing()
    book = PromptBook(AnswerStopFlow(1, 3), PROMPTS, script.tokenizer, (END,))  # type: ignore[arg-type]
    rollouts = Rollouts(book, script.engine, LastWordJudge(), Draws(0))
    rollouts.play([Problem("p", "six", "6")], WholeTrajectories())
    first = script.engine.batches[0]
    assert len(first) == 2 and len({request.branch for request in first}) == 2


def test_no_alternatives_at_all_is_refused() -> None:
    with pytest.raises(UserError, match=r"alternatives is 0"):
        NodeAlternatives(alternatives=0)


def test_at_temperature_0_nothing_else_can_be_tried() -> None:
    require_alternatives(0.1)
    with pytest.raises(UserError, match=r"model\.sampling\.temperature is 0"):
        require_alternatives(0)


def explored(tree: RolloutTree) -> list[int]:
    """The main chain's nodes where another move was tried."""
    return sorted([*(fork.node for fork in tree.forks), *tree.nodes_without_alternative])


@pytest.mark.parametrize(
    ("exploration", "of"),
    [
        (NodeAlternatives(), lambda depth, agent: True),
        (NodeAlternatives(agents=(STOP,)), lambda depth, agent: agent == STOP),
        (NodeAlternatives(depths=(0, 3)), lambda depth, agent: depth in (0, 3)),
        (NodeAlternatives(agents=(ANSWER,), depths=(1, 2)), lambda depth, agent: depth == 2),
    ],
)
def test_alternatives_at_the_nodes_of_some_agents_and_depths_alone(
    exploration: NodeAlternatives, of: Callable[[int, str], bool]
) -> None:
    lengths = set()
    for tree, all_of_it in zip(grow(exploration), grow(NodeAlternatives()), strict=True):
        chosen = [depth for depth, move in enumerate(tree.main.moves) if of(depth, move.agent)]
        assert explored(tree) == chosen
        assert tree.main == all_of_it.main
        assert tree.forks == tuple(fork for fork in all_of_it.forks if fork.node in chosen)
        lengths.add(len(tree.main.moves))
    assert len(lengths) > 1


def test_fewer_alternatives_are_chosen_among_the_nodes_that_may_have_one() -> None:
    flow, draws = AnswerStopFlow(1, 6), Draws(0)
    seen = set()
    for number in range(50):
        given = Problem(f"p{number}", "", ""), flow, draws
        of_stop = NodeAlternatives(alternatives=2, agents=(STOP,))
        chosen = tuple(node.depth for node in flow.nodes if of_stop.explores(node, *given))
        assert len(chosen) == 2 and {depth % 2 for depth in chosen} == {1}
        anywhere = NodeAlternatives(alternatives=4)
        assert sum(anywhere.explores(node, *given) for node in flow.nodes) == 4
        seen.add(chosen)
    assert len(seen) == 10, "every two of Stop's five nodes"


@dataclass(frozen=True)
class SecondTurns(Exploration):
    """A rule of one's own: everybody's second turn."""

    def explores(self, node: Node, problem: Problem, flow: Flow, draws: Draws) -> bool:
        return node.turn == 1


def test_a_rule_of_one_s_own_knows_whose_node_it_is() -> None:
    found = {(fork.node, fork.taken.agent) for tree in grow(SecondTurns()) for fork in tree.forks}
    assert found == {(2, ANSWER), (3, STOP)}


def test_the_nodes_of_a_flow_know_their_agents() -> None:
    assert [(node.depth, node.agent, node.turn) for node in AnswerStopFlow(1, 3).nodes] == [
        (0, ANSWER, 0),
        (1, STOP, 0),
        (2, ANSWER, 1),
        (3, STOP, 1),
        (4, ANSWER, 2),
    ]


@pytest.mark.parametrize(
    ("exploration", "told"),
    [
        (NodeAlternatives(agents=("stopp",)), r"model\.exploration\.agents names 'stopp', but"),
        (
            NodeAlternatives(depths=(9,)),
            r"model\.exploration leaves no node .*depths \[9\].*0 \(answer\), 1 \(stop\)",
        ),
        (NodeAlternatives(agents=(STOP,), depths=(0, 2)), r"leaves no node to explore \(agents \['stop'\]"),
        (NodeAlternatives(agents=()), r"leaves no node to explore \(agents \[\]"),
    ],
)
def test_what_leaves_nothing_to_explore_is_refused(exploration: NodeAlternatives, told: str) -> None:
    with pytest.raises(UserError, match=told):
        exploration.require_fits(AnswerStopFlow(1, 3))


def test_a_negative_depth_is_refused() -> None:
    with pytest.raises(UserError, match=r"depths is -1: give at least 0"):
        NodeAlternatives(depths=(0, -1))
