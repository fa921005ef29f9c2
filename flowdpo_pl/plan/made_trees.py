"""Trees of unknown tokens: a flow as it is played when its answers have a given length.

The flow's own rules are asked, so any flow can be planned. Every alternative differs from its first token on,
is played to its end, and ends otherwise: the most that can come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.play.flow import Choose, Flow, Node, Turn
from flowdpo_pl.types import Fork, Move, Problem, RolloutTree, Trajectory, Verdict

_PROBLEM = Problem("", "", "")


def made_tree(flow: Flow, exploration: Exploration, most: int | None = None) -> RolloutTree:
    """A problem whose answers are `most` tokens long, or as much longer as the turn that passes it.

    None: everything is as long as the rules allow.
    """
    tokens = count(1)
    main = _played(flow, (), most, tokens)
    nodes = [Node.after(main[:depth], move.agent) for depth, move in enumerate(main)]
    explored = [node.depth for node in nodes if exploration.explores(node, _PROBLEM, flow, Draws(0))]
    forks = [
        _fork(flow, main, depth, most, tokens, number)
        for depth in explored
        for number in range(_others(flow, exploration, main[:depth]))
    ]
    for _ in range(exploration.further_paths):
        branch = _played(flow, (), most, tokens)
        forks.append(Fork(0, main[0], branch[0], Trajectory(branch, "", Verdict(True)), Verdict(False)))
    return RolloutTree(_PROBLEM, Trajectory(main, "", Verdict(False)), tuple(forks))


def all_tied(tree: RolloutTree) -> RolloutTree:
    """The same, but every path ends alike."""
    wrong = Verdict(False)
    forks = [replace(fork, branch=replace(fork.branch, verdict=wrong)) for fork in tree.forks]
    return replace(tree, forks=tuple(forks))


def deepest_lessons(tree: RolloutTree) -> RolloutTree:
    """The same, but only each agent's deepest fork has another ending, so that its node alone teaches."""
    deepest = {fork.taken.agent: fork for fork in tree.forks}
    tied = Verdict(False)
    forks = [
        fork
        if deepest[fork.taken.agent] is fork
        else replace(fork, branch=replace(fork.branch, verdict=tied))
        for fork in tree.forks
    ]
    return replace(tree, forks=tuple(forks))


def _played(flow: Flow, start: Sequence[Move], most: int | None, tokens: Iterator[int]) -> tuple[Move, ...]:
    moves = list(start)
    while (turn := flow.turn(moves)) is not None:
        if isinstance(turn, Choose):
            moves.append(_choice(flow, turn, moves, most))
        else:
            length = turn.max_tokens if most is None else min(turn.max_tokens, max(1, most))
            moves.append(_written(turn.agent, length, tokens))
    return tuple(moves)


def _written(agent: str, length: int, tokens: Iterator[int]) -> Move:
    return Move(agent, tuple(next(tokens) for _ in range(length)), "")


def _choice(flow: Flow, turn: Choose, moves: Sequence[Move], most: int | None) -> Move:
    """The word that ends the flow once the answer is as long as it shall be, one that goes on until then."""
    ending = most is not None and _answer_tokens(flow, moves) >= most
    words = [Move(turn.agent, (option,), "", option=option) for option in range(turn.words)]
    return next((move for move in words if _over(flow.turn([*moves, move])) == ending), words[0])


def _over(turn: Turn | None) -> bool:
    return turn is None


def _answer_tokens(flow: Flow, moves: Sequence[Move]) -> int:
    return sum(len(move.token_ids) for move in flow.answer(moves))


def _others(flow: Flow, exploration: Exploration, before: Sequence[Move]) -> int:
    turn = flow.turn(before)
    return 0 if turn is None else exploration.others(turn)


def _fork(
    flow: Flow, main: Sequence[Move], node: int, most: int | None, tokens: Iterator[int], number: int
) -> Fork:
    """The node's path of this number beside the main chain, from 0."""
    taken = main[node]
    if taken.option is None:
        other = _written(taken.agent, len(taken.token_ids), tokens)
    else:
        option = number + (number >= taken.option)
        other = Move(taken.agent, (option,), "", option=option)
    path = _played(flow, (*main[:node], other), most, tokens)
    return Fork(node, taken, other, Trajectory(path, "", Verdict(True)), Verdict(False))
