from callbacks.watching.batch_values import groups_by_agent, pairs_by_agent, ties_by_agent, tokens_per_second

VALUES = {
    "reader/pairs": 3.0,
    "reader/ties/both_right": 2.0,
    "reader/ties/no_alternative": 0.0,
    "judge/pairs": 0.0,
    "judge/ties/both_right": 1.0,
    "reader/loss": 0.5,
    "generated_tokens": 100.0,
    "seconds/play": 4.0,
    "seconds/update": 40.0,
}


def test_agents_are_those_of_the_values_in_their_order() -> None:
    assert list(pairs_by_agent(VALUES).items()) == [("reader", 3), ("judge", 0)]
    assert ties_by_agent(VALUES) == {
        "reader": {"both_right": 2, "no_alternative": 0},
        "judge": {"both_right": 1},
    }


def test_groups_are_told_where_there_are_any() -> None:
    assert groups_by_agent(VALUES) == {}
    groups = {"reader/groups": 5.0, "reader/groups_taught": 2.0}
    assert groups_by_agent({**VALUES, **groups}) == {"reader": {"all": 5, "taught": 2}}


def test_speed_is_that_of_play_and_zero_where_nothing_was_played() -> None:
    assert tokens_per_second(VALUES) == 25.0
    assert tokens_per_second({}) == tokens_per_second({**VALUES, "seconds/play": 0.0}) == 0.0
