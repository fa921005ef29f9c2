from __future__ import annotations

import math
from pathlib import Path

from flowdpo_pl.modules.given_problems import GivenProblems, fewest
from tests.runs import data, trainer


def test_of_loaders_alone_nothing_is_known_and_all_is_given(tmp_path: Path) -> None:
    for given in (GivenProblems.of(None, "train"), GivenProblems.of(trainer(tmp_path), "train")):
        assert given.data is None and given.expected is None and given.within(3) is None
        assert given.ended and given.pass_number == 1 and math.isnan(given.unreadable_gold_rate)
        assert given.first_chunk(otherwise=7) == 7


def test_a_data_module_is_asked_for_the_source() -> None:
    module = data()
    module.setup("validate")
    given = GivenProblems(module, "validation")
    assert (given.expected, given.first_chunk(otherwise=7), given.ended) == (16, 16, False)
    assert GivenProblems(module, "predict").expected is None
    assert len(list(module.val_dataloader())) == 2 and given.ended


def test_a_number_of_batches_is_problems_and_a_share_of_them_is_unknown() -> None:
    given = GivenProblems(data(), "validation")
    assert given.within(3) == 24 and given.within(1.0) is None


def test_the_fewest_is_of_those_that_are_known() -> None:
    assert fewest(None, 3, 2) == 2 and fewest(0, None) == 0 and fewest(None) is None
