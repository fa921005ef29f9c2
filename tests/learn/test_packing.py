"""Packed sequences are read as if alone: in a tree they share what they begin with, in a row nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest
import torch

from flowdpo_pl.learn.packing import PackedTree, ScoredMove, pack_moves, pack_rows
from flowdpo_pl.learn.scoring import micro_batches, move_logprobs
from flowdpo_pl.play.flows.answer_stop import ANSWER
from tests.conftest import World
from tests.models import FAMILIES
from tests.oracles import merged_logprobs

SIZES = [(3, 9), (20, 14), (2, 2), (5, 1), (11, 7), (4, 16), (1, 3)]
"""Tokens before and in the move; longer together than the models' windows."""


def sequences() -> list[ScoredMove]:
    generator = torch.Generator().manual_seed(0)
    return [
        ScoredMove(tuple(ids[:before]), tuple(ids[before:]), depth=0)
        for before, move in SIZES
        for ids in [torch.randint(4, 60, (before + move,), generator=generator).tolist()]
    ]


def read(tree: PackedTree, index: int) -> tuple[int, ...]:
    """What the token at a packed index sees, itself included, in the order of positions."""
    seen = [
        (tree.positions[place], tree.token_ids[place])
        for place in range(len(tree))
        if (tree.segments[place] == tree.segments[index] and place <= index)
        or (tree.segments[place] == 0 and tree.positions[place] < tree.attached[index])
    ]
    assert [position for position, _ in sorted(seen)] == list(range(tree.positions[index] + 1))
    return tuple(token for _, token in sorted(seen))


def every_token_is_predicted_from_all_before_it(tree: PackedTree, moves: Sequence[ScoredMove]) -> None:
    assert len(tree.moves) == len(moves) and len(set(tree.scored)) == len(tree.scored)
    for indices, move in zip(tree.moves, moves, strict=True):
        for number, index in enumerate(indices):
            source, target = tree.scored[index]
            assert read(tree, source) == move.before + move.move[:number] and target == move.move[number]
            assert tree.options[index] == move.options


def test_a_tree_is_the_longest_sequence_of_the_deepest_node_and_branches() -> None:
    tree = pack_moves(
        [
            ScoredMove((1, 2), (3, 4), depth=0, played=-1.0),
            ScoredMove((1, 2), (3, 7, 8, 8, 8, 9), depth=0),  # longer, but a branch
            ScoredMove((1, 2, 3, 4), (5, 6), depth=2),
            ScoredMove((1, 2, 3, 4), (9,), depth=2),
        ]
    )
    assert replace(tree, keys=()) == PackedTree(
        token_ids=(1, 2, 3, 4, 5, 7, 8, 8, 8),
        positions=(0, 1, 2, 3, 4, 3, 4, 5, 6),
        segments=(0, 0, 0, 0, 0, 1, 1, 1, 1),
        attached=(0, 0, 0, 0, 0, 3, 3, 3, 3),
        keys=(),
        scored=((1, 3), (2, 4), (2, 7), (5, 8), (6, 8), (7, 8), (8, 9), (3, 5), (4, 6), (3, 9)),
        options=((),) * 10,
        moves=((0, 1), (0, 2, 3, 4, 5, 6), (7, 8), (9,)),
        played=(-1.0, math.nan, math.nan, math.nan),
    )


def keys_of(tree: PackedTree) -> dict[tuple[int, ...], int]:
    """By what a token reads, itself included."""
    return {read(tree, index): key for index, key in enumerate(tree.keys)}


def test_a_token_s_key_is_that_of_its_problem_and_what_it_reads() -> None:
    moves = [
        ScoredMove((1, 2), (3, 4), depth=0, problem="p"),
        ScoredMove((1, 2), (3, 7, 8, 8, 8, 9), depth=0, problem="p"),
        ScoredMove((1, 2, 3, 4), (5, 6), depth=2, problem="p"),
    ]
    packed = keys_of(pack_moves(moves))
    assert len(set(packed.values())) == len(packed) == 9
    for move in moves:
        assert keys_of(pack_moves([move])).items() <= packed.items(), "alone as in the tree"
    assert {key for row in pack_rows(moves) for key in row.keys} == set(packed.values())
    other = keys_of(pack_moves([replace(move, problem="q") for move in moves]))
    assert other.keys() == packed.keys() and not set(other.values()) & set(packed.values())


def test_two_options_are_scored_in_one_place() -> None:
    tree = pack_moves([ScoredMove((1, 2), (token,), depth=1, options=(7, 8)) for token in (7, 8)])
    assert tree.token_ids == (1, 2) and tree.scored == ((1, 7), (1, 8)) and tree.options == ((7, 8), (7, 8))


@pytest.mark.parametrize("seed", range(20))
def test_a_tree_reads_every_sequence_and_shared_beginnings_once(seed: int) -> None:
    """Alternatives part from the main chain alone, so the tokens read are the tree's distinct prefixes."""
    random = Random(seed)
    main = tuple(random.randrange(3) for _ in range(12))
    moves = []
    for depth, node in enumerate((2, 5, 8)):
        end = (*main, 99)[node + 3]
        moves.append(ScoredMove(main[:node], (*main[node : node + 3], end), depth))
        moves.append(ScoredMove(main[:node], (depth + 10, *(random.randrange(3) for _ in range(3))), depth))
    tree = pack_moves(moves)
    every_token_is_predicted_from_all_before_it(tree, moves)
    prefixes = {move.inputs[:length] for move in moves for length in range(1, len(move.inputs) + 1)}
    assert len(tree) == len(prefixes)


def test_rows_hold_every_sequence_once_and_none_sees_another() -> None:
    left = {move.inputs: move for move in sequences()}
    for row in pack_rows(sequences()):
        places = [
            index
            for index in range(len(row))
            if row.segments[index : index + 2] != (row.segments[index],) * 2
        ]
        moves = [left.pop(read(row, last)) for last in places]
        every_token_is_predicted_from_all_before_it(row, moves)
    assert not left


def test_rows_are_full_and_no_longer_than_the_longest_sequence() -> None:
    rows = pack_rows(sequences())
    longest = max(len(sequence.inputs) for sequence in sequences())
    assert [len(row) for row in rows] == [33, 33, 25]
    assert max(map(len, rows)) == longest
    assert sum(len(row.moves) for row in rows) == len(SIZES)
    assert pack_rows([]) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_log_probabilities_are_those_of_sequences_alone(
    family: str, make_world: Callable[..., World]
) -> None:
    world = make_world(family)
    expected = []
    with torch.no_grad():
        for sequence in sequences():
            logits = world.plain.logits(ANSWER, (*sequence.before, *sequence.move))
            scored = merged_logprobs(logits[len(sequence.before) - 1 : -1], world.prompts.end_ids)
            expected.append(
                float(scored.gather(1, torch.tensor(sequence.move, device=scored.device)[:, None]).sum())
            )
    rows = pack_rows(sequences())
    with world.agents.acting_as(ANSWER), torch.no_grad():
        found = [
            value
            for batch in micro_batches(rows, 10_000, world.agents.device)
            for value in move_logprobs(world.agents, batch, world.head).tolist()
        ]
    assert sorted(found) == pytest.approx(sorted(expected), abs=1e-4)
