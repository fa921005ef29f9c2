"""What was made otherwise is refused, naming each value that differs."""

from __future__ import annotations

from typing import Any

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.provenance import require_same

NOW: dict[str, Any] = {"seed": 0, "flow": {"class": "AnswerStopFlow", "max_chunks": 6}, "adapters": {}}


def test_the_same_is_taken_and_what_it_holds_beyond_is_not_compared() -> None:
    require_same("x", NOW, NOW, "mend")
    require_same("x", {**NOW, "date": "today"}, NOW, "mend")


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ({**NOW, "seed": 1}, "seed was 1 and is 0"),
        ({"flow": NOW["flow"], "adapters": {}}, "seed was None and is 0"),
        ({**NOW, "flow": {**NOW["flow"], "max_chunks": 4}}, "flow.max_chunks was 4 and is 6"),
        ({**NOW, "flow": {"class": "SingleFlow"}}, "flow was {'class': 'SingleFlow'} and is {'class': 'Ans"),
        ({**NOW, "adapters": {"answer": "a1"}}, "adapters was {'answer': 'a1'} and is {}"),
    ],
)
def test_what_differs_is_said_to_the_value(then: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as refused:
        require_same("traces.jsonl", then, NOW, "remove the file")
    sentence = str(refused.value)
    assert sentence.startswith("traces.jsonl was made otherwise: ") and sentence.endswith(
        "; remove the file."
    )
    assert told in sentence


def test_all_that_differs_is_said_at_once() -> None:
    with pytest.raises(UserError, match=r"seed was 1 and is 0, flow\.max_chunks was 4 and is 6"):
        require_same("x", {**NOW, "seed": 1, "flow": {**NOW["flow"], "max_chunks": 4}}, NOW, "mend")
