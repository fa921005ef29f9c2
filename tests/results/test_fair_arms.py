"""Arms on the same prompts in the same number, and what they say of the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.fair_arms import fair_arms
from flowdpo_pl.results.traces import Trace


def arm(right: str, wrong: str = "", **values: object) -> list[Trace]:
    """Traces on problems named by letters."""
    return [
        Trace(
            name, f"question {name}", "1", f"trace of {name}", name in right, attempts=2, generated_tokens=10
        )
        for name in sorted(right + wrong)
    ]


def test_a_prompt_that_fails_in_one_arm_drops_from_all() -> None:
    fair = fair_arms({"truth": arm("abcde"), "self": arm("abc", "de"), "flow": arm("bcd", "a")}, "truth")
    ids = {name: [trace.problem_id for trace in traces] for name, traces in fair.arms.items()}
    assert ids == {"truth": ["b", "c"], "self": ["b", "c"], "flow": ["b", "c"]}
    assert (fair.offered, fair.shared, fair.kept) == (5, 2, 2)
    assert len(fair.unfiltered) == 2 and {trace.problem_id for trace in fair.unfiltered} <= set("abcde")
    flow = fair.counts["flow"]
    assert (flow.problems, flow.right, flow.missing, flow.acceptance) == (4, 3, 1, 0.75)
    assert (flow.attempts, flow.generated_tokens) == (8, 40)


def test_a_limit_keeps_the_same_prompts_in_every_arm() -> None:
    letters = "abcdefghijklmnop"
    arms = {"truth": arm(letters), "self": arm(letters), "flow": arm(letters)}
    fair = fair_arms(arms, "truth", limit=5, seed=1)
    kept = [[trace.problem_id for trace in traces] for traces in fair.arms.values()]
    assert len(kept[0]) == 5 and kept[0] == kept[1] == kept[2] == sorted(kept[0])
    assert len(fair.unfiltered) == 5
    assert fair == fair_arms(arms, "truth", limit=5, seed=1)
    assert fair.arms != fair_arms(arms, "truth", limit=5, seed=2).arms


def test_the_unfiltered_prompts_are_drawn_from_all_of_their_arm() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    drawn = {
        trace.problem_id
        for seed in range(20)
        for trace in fair_arms({"truth": arm(letters), "flow": arm("abcde")}, "truth", seed=seed).unfiltered
    }
    assert drawn > set("abcde")


@pytest.mark.parametrize(
    ("arms", "complaint"),
    [
        ({"truth": arm("a")}, "names 1 arms"),
        ({"truth": arm("a"), "flow": []}, "arm 'flow' has no right trace among 0"),
        ({"truth": arm("a"), "flow": arm("", "a")}, "arm 'flow' has no right trace among 1"),
        (
            {"truth": arm("a"), "flow": arm("b")},
            r"no problem has a right trace in every arm \(truth 1, flow 1\)",
        ),
        (
            {"truth": arm("a"), "flow": [Trace("a", "another question", "1", "t", True)]},
            "problem a of arm 'flow' has another question",
        ),
    ],
)
def test_arms_that_cannot_be_compared(arms: dict[str, list[Trace]], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        fair_arms(arms, "truth")


def test_prompts_are_the_same_by_their_questions() -> None:
    """Whatever the ids are, which may be hashes of the text as it stands."""
    truth = [Trace("a", "How many?", "1", "t", True), Trace("b", "How few?", "2", "t", True)]
    flow = [Trace("x", "how  many", "1", "t", True), Trace("y", "How few?", "2", "t", False)]
    fair = fair_arms({"truth": truth, "flow": flow}, "truth")
    assert (fair.offered, fair.shared, fair.counts["flow"].missing) == (2, 1, 0)
    assert [traces[0].problem_id for traces in fair.arms.values()] == ["a", "x"]
    with pytest.raises(UserError, match="problem x of arm 'flow' has another question or gold answer"):
        fair_arms({"truth": truth, "flow": [replace(flow[0], gold="3")]}, "truth")


def test_other_chances_are_refused_but_a_data_set_s_own_traces_had_none() -> None:
    def played(attempts: int) -> list[Trace]:
        made_by = {**CollectedTraces(attempts).settings, "base": "m"}
        return [Trace("a", "q", "1", "t", True, made_by=made_by)]

    truth = [Trace("a", "q", "1", "t", True, made_by={"solution": {}})]
    assert fair_arms({"truth": truth, "self": played(4), "flow": played(4)}, "truth").kept == 1
    with pytest.raises(UserError, match="attempts is 4 in 'self' and 8 in 'flow'"):
        fair_arms({"truth": truth, "self": played(4), "flow": played(8)}, "truth")


def test_senseless_arguments() -> None:
    arms = {"truth": arm("a"), "flow": arm("a")}
    with pytest.raises(UserError, match="unfiltered is 'gold', but the arms are"):
        fair_arms(arms, "gold")
    with pytest.raises(UserError, match="limit is 0"):
        fair_arms(arms, "truth", limit=0)
