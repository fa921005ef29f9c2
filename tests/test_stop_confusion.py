from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from flowdpo_pl.asked import Asked, PartialAnswer, asked
from flowdpo_pl.stop_confusion import StopConfusion
from flowdpo_pl.types import Move, RolloutTree
from tests.example_trees import NO, YES, main_only, verdict, written

TREES: list[RolloutTree] = [
    # no result yet: No, then right: Yes
    main_only(True, written("2+2 "), verdict(NO), written("= #4"), verdict(YES)),
    # early on none
    main_only(False, written("2+2 "), verdict(YES)),
    # early on wrong
    main_only(False, written("#5"), verdict(YES)),
    # wrong: No; right (the later marker counts): No, which is late; then cut
    main_only(True, written("#5"), verdict(NO), written(" #4"), verdict(NO), written("!")),
]


def marked(text: str, gold: str) -> PartialAnswer:
    """The result is the character after the last #."""
    if "#" not in text:
        return "none"
    return "right" if text.rpartition("#")[2][:1] == gold else "wrong"


def joined(moves: Sequence[Move]) -> str:
    assert all(move.option is None for move in moves)
    return "".join(move.text for move in moves)


def confusion(trees: Sequence[RolloutTree] = ()) -> StopConfusion:
    metric = StopConfusion()
    if trees:
        metric.update(chains(trees))
    return metric


def chains(trees: Sequence[RolloutTree]) -> list[tuple[Asked, ...]]:
    return [asked(tree, marked, joined) for tree in trees]


def test_verdicts_are_counted_by_what_the_partial_answer_held() -> None:
    values = {name: value.item() for name, value in confusion(TREES).compute().items()}
    assert values == pytest.approx(
        {
            "stop/nodes/none": 2,
            "stop/nodes/wrong": 2,
            "stop/nodes/right": 2,
            "stop/early": 2,
            "stop/late": 1,
            "stop/cut": 1,
            "stop/early_rate": 2 / 4,
            "stop/late_rate": 1 / 2,
            "stop/cut_rate": 1 / 4,
            "stop/yes_rate/none": 1 / 2,
            "stop/yes_rate/wrong": 1 / 2,
            "stop/yes_rate/right": 1 / 2,
        }
    )


def test_batching_saving_and_resuming_do_not_matter(tmp_path: Path) -> None:
    whole, stopped, resumed = confusion(TREES), confusion(TREES[:2]), confusion()
    torch.save(stopped.state_dict(), tmp_path / "state.pt")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed.update(chains(TREES[2:]))
    assert torch.equal(resumed.verdicts, whole.verdicts)
    assert (resumed.cut, resumed.chains) == (whole.cut, whole.chains)


def test_a_rate_of_nothing_is_unknown() -> None:
    values = confusion([main_only(True, written("#4"))]).compute()
    assert values["stop/early_rate"].isnan() and values["stop/late_rate"].isnan()
    assert values["stop/cut_rate"] == 1
