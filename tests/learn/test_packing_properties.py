"""What packing keeps, whatever the moves are: every token is predicted from all that stands before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowdpo_pl.learn.packing import ScoredMove, pack_moves, pack_rows
from tests.learn.test_packing import every_token_is_predicted_from_all_before_it
from tests.properties import few

ids = st.lists(st.integers(1, 3), min_size=1, max_size=6).map(tuple)  # of few tokens: beginnings are shared


@st.composite
def moves(draw: st.DrawFn) -> list[ScoredMove]:
    """Of one problem: two a node, which stands behind the moves that were made before it."""
    reads, found = draw(ids), []
    for depth in range(draw(st.integers(1, 4))):
        options = draw(st.sampled_from([(), (1, 2)]))
        pair = [(1,), (2,)] if options else [draw(ids), draw(ids)]
        found += [ScoredMove(reads, move, depth, options) for move in pair]
        reads += pair[0] + draw(ids)
    return found


@few
@given(moves())
def test_a_tree_is_its_padded_moves(moves: list[ScoredMove]) -> None:
    tree = pack_moves(moves)
    every_token_is_predicted_from_all_before_it(tree, moves)
    assert len(tree) <= sum(len(inputs) for inputs in {move.inputs for move in moves})
    assert (
        len({len(column) for column in (tree.token_ids, tree.positions, tree.segments, tree.attached)}) == 1
    )


@few
@given(moves())
def test_rows_are_their_padded_sequences_and_hold_each_once(moves: list[ScoredMove]) -> None:
    rows = pack_rows(moves)
    left = list(moves)
    for row in rows:
        assert len(row) <= max(len(move.inputs) for move in moves)
        for indices in row.moves:
            places = [row.scored[index] for index in indices]
            first, last = (place for place, _ in (places[0], places[-1]))
            begin = first - row.positions[first]
            inputs, move = row.token_ids[begin : last + 1], tuple(token for _, token in places)
            found = next(one for one in left if one.inputs == inputs and one.move == move)
            left.remove(found)
            assert set(row.attached[begin : last + 1]) == {0}
    assert left == []
