from __future__ import annotations

import math

from callbacks.summary.shares import UNJUDGED, chooser_told, share_told, unjudged, unjudged_shares


def test_shares_of_a_run_are_of_all_its_answers_and_of_the_latest_golds() -> None:
    sums = {"judged_answers": 40.0, "judging_errors": 4.0, "judging_timeouts": 1.0}
    found = unjudged_shares(sums, {"unreadable_gold_rate": 0.5})
    assert tuple(found) == UNJUDGED and list(found.values()) == [0.5, 0.1, 0.025]


def test_a_share_of_nothing_is_unknown() -> None:
    assert unjudged_shares({}, {}) == dict.fromkeys(UNJUDGED)
    assert unjudged({"timeout_rate": math.nan}).count("unknown") == 3


def test_a_flow_without_a_chooser_has_no_words_on_it() -> None:
    assert chooser_told({}) == ""
    assert chooser_told({"early_rate": 0.25, "late_rate": None, "cut_rate": 1.0}) == (
        "early 25.0%, late unknown, cut 100.0%"
    )


def test_an_accuracy_stands_with_its_interval() -> None:
    assert share_told(0.5, 0.4, 0.625) == "50.0% (40.0% to 62.5%)"
