from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.sources_read import OWN_SOURCE, sources_read

LOCAL = {"path": "problems.jsonl"}
ALL = dict.fromkeys(OWN_SOURCE.values(), LOCAL)


@pytest.mark.parametrize(
    ("verb", "validates", "read"),
    [
        ("fit", True, {"train", "validation", "test"}),
        ("fit", False, {"train", "test"}),
        ("validate", False, {"validation"}),
        ("test", False, {"test", "train", "predict"}),
        ("predict", False, {"predict", "test"}),
    ],
)
def test_a_verb_reads_its_own_and_what_is_kept_apart_from_it(
    verb: str, validates: bool, read: set[str]
) -> None:
    assert set(sources_read(verb, ALL, validates)) == read
    assert sources_read(verb, ALL, validates)[0] == OWN_SOURCE[verb]


def test_a_test_reads_no_hub_for_the_others() -> None:
    assert sources_read("test", {**ALL, "train": {"path": "openai/gsm8k"}, "predict": None}, False) == (
        "test",
    )


@pytest.mark.parametrize("verb", OWN_SOURCE)
def test_its_own_source_must_be_given(verb: str) -> None:
    with pytest.raises(UserError, match=rf"^{verb} needs data\.{OWN_SOURCE[verb]}"):
        sources_read(verb, {**ALL, OWN_SOURCE[verb]: None}, True)
