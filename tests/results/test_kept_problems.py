"""Which problems arms keep: those of all, or each its own."""

from __future__ import annotations

from flowdpo_pl.results.kept_problems import KeepShared, KeepSolved

PROBLEMS = list("abcdefghij")
RIGHT = {"poor": list("dcba"), "good": PROBLEMS[::-1], "other": list("efghij")}


def test_shared_are_the_same_in_every_arm() -> None:
    kept = KeepShared().kept({"poor": "dcba", "good": PROBLEMS}, PROBLEMS, None, 0)
    assert kept == {"poor": list("abcd"), "good": list("abcd")}
    assert not any(KeepShared().kept(RIGHT, PROBLEMS, None, 0).values())


def test_solved_are_an_arm_s_own_in_the_poorest_arm_s_number() -> None:
    kept = KeepSolved().kept(RIGHT, PROBLEMS, None, 0)
    assert kept["poor"] == list("abcd") and {len(own) for own in kept.values()} == {4}
    assert all(own == sorted(own) and set(own) <= set(RIGHT[name]) for name, own in kept.items())
    assert {len(own) for own in KeepSolved().kept(RIGHT, PROBLEMS, 2, 0).values()} == {2}


def test_arms_that_solved_the_same_keep_the_same() -> None:
    right = {"one": PROBLEMS, "two": PROBLEMS[::-1], "poor": list("abc")}
    kept = [KeepSolved().kept(right, PROBLEMS, None, seed) for seed in range(20)]
    assert all(one["one"] == one["two"] for one in kept)
    assert {problem for one in kept for problem in one["one"]} == set(PROBLEMS)
