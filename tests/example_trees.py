"""Small rollout trees for tests, written by hand or drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.types import Fork, Move, Problem, RolloutTree, Trajectory, Verdict

YES, NO = 0, 1


def written(text: str, *token_ids: int, logprob: float = -1.0) -> Move:
    """Answer's move; its tokens are the text's characters unless given."""
    return Move(ANSWER, token_ids or tuple(map(ord, text)), text, logprob=logprob)


def choice(option: int) -> Move:
    """Stop's move."""
    return Move(STOP, (option,), ("Yes", "No")[option], option=option, logprob=-0.5)


def path(moves: Sequence[Move], correct: bool, score: float | None = None) -> Trajectory:
    """The score is that of right or wrong unless given."""
    answer = "".join(move.text for move in moves if move.option is None)
    verdict = Verdict(correct, extracted=answer[-1:] or None)
    return Trajectory(tuple(moves), answer, verdict if score is None else replace(verdict, score=score))


def fork(
    main: Trajectory,
    node: int,
    other: Move,
    continuation: Sequence[Move],
    correct: bool,
    score: float | None = None,
) -> Fork:
    branch = path([*main.moves[:node], other, *continuation], correct, score)
    return Fork(node, main.moves[node], other, branch, main.verdict)


def main_only(correct: bool, *moves: Move, gold: str = "4", name: str = "p") -> RolloutTree:
    return RolloutTree(Problem(name, f"question {name}", gold), path(moves, correct))


def random_tree(seed: int, correct: bool | None = None) -> RolloutTree:
    """One to three chunks; every node but some has an alternative that ends at random."""
    generator = random.Random(seed)
    right = generator.random() < 0.5 if correct is None else correct
    moves: list[Move] = []
    chunks = generator.randint(1, 3)
    for chunk in range(1, chunks + 1):
        moves.append(written(generator.choice(["add ", "é⟩ ", 'say "x"\n']), logprob=-generator.random()))
        if chunk < 3:
            moves.append(choice(YES if chunk == chunks else NO))
    main = path(moves, right)
    forks, without = [], []
    for node, move in enumerate(moves):
        if generator.random() < 0.2:
            without.append(node)
        else:
            other = written("other ") if move.option is None else choice(1 - move.option)
            forks.append(fork(main, node, other, [written("end", 5)], generator.random() < 0.5))
    problem = Problem(f"p{seed}", f"question {seed}?", str(seed), seed_question="s")
    return RolloutTree(problem, main, tuple(forks), tuple(without))


def group_tree(seed: int) -> RolloutTree:
    """Four draws of one written move, the main chain's twice; and both words of the choice behind it."""
    main = path([written("add "), choice(NO), written("b")], seed % 2 == 0)
    draws = [written("add "), written("wrong "), written("other ")]
    ends = ([choice(YES)], [choice(YES)], [choice(NO), written("end", 5)])
    forks = [
        fork(main, 0, draw, rest, right)
        for draw, rest, right in zip(draws, ends, (True, False, seed % 3 == 0), strict=True)
    ]
    forks.append(fork(main, 1, choice(YES), [], seed % 4 == 0))
    return RolloutTree(Problem(f"g{seed}", f"question {seed}?", str(seed)), main, tuple(forks))
