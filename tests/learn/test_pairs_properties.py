"""What holds of mined pairs whatever the endings' scores are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.types import Problem, RolloutTree
from tests.example_trees import NO, choice, fork, path, written
from tests.properties import few

scores = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@few
@given(scores, st.dictionaries(st.integers(0, 3), scores).map(lambda drawn: sorted(drawn.items())), scores)
def test_a_fork_is_a_pair_where_scores_differ_by_more_than_the_margin(
    main_score: float, others: list[tuple[int, float]], margin: float
) -> None:
    main = path([written("a"), choice(NO), written("b"), choice(NO)], main_score == 1, main_score)
    forks = tuple(fork(main, node, written(f"{score}"), [], score == 1, score) for node, score in others)
    pairs = mine([RolloutTree(Problem("p", "q", "4"), main, forks)], margin).pairs
    apart = [(node, score) for node, score in others if abs(score - main_score) > margin]
    assert [pair.node for pair in pairs] == [node for node, _ in apart]
    for pair, (node, score) in zip(pairs, apart, strict=True):
        taken = main.moves[node]
        assert {pair.chosen.text, pair.rejected.text} == {taken.text, f"{score}"}
        assert (pair.chosen is taken) == (main_score > score)
        assert pair.prefix == main.moves[:node] and pair.agent == taken.agent
