"""Stop's choices on scripted chains, counted as by hand.

Also tests `measure.chooser_questions`: what Stop was asked on each chain.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from flowdpo_pl.measure.chooser_confusion import ChooserConfusion
from flowdpo_pl.measure.chooser_questions import ChooserQuestion, PartialAnswer, chooser_questions
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.types import Move, Problem, RolloutTree
from tests.example_trees import NO, YES, choice, main_only, written

TREES: list[RolloutTree] = [
    # no result yet: No, then right: Yes
    main_only(True, written("2+2 "), choice(NO), written("= #4"), choice(YES)),
    # early on none
    main_only(False, written("2+2 "), choice(YES)),
    # early on wrong
    main_only(False, written("#5"), choice(YES)),
    # wrong: No; right (the later marker counts): No, which is late; then cut
    main_only(True, written("#5"), choice(NO), written(" #4"), choice(NO), written("!")),
]


def marked(text: str, problem: Problem) -> PartialAnswer:
    """The result is the character after the last #."""
    if "#" not in text:
        return "none"
    return "right" if text.rpartition("#")[2][:1] == problem.gold else "wrong"


def joined(moves: Sequence[Move]) -> str:
    return "".join(move.text for move in AnswerStopFlow().answer(moves))


def confusion(trees: Sequence[RolloutTree] = ()) -> ChooserConfusion:
    metric = ChooserConfusion()
    if trees:
        metric.update(chains(trees))
    return metric


def chains(trees: Sequence[RolloutTree]) -> list[tuple[ChooserQuestion, ...]]:
    return [chooser_questions(tree, AnswerStopFlow().finishes, marked, joined) for tree in trees]


def test_choices_are_counted_by_what_the_partial_answer_held() -> None:
    values = {name: value.item() for name, value in confusion(TREES).compute().items()}
    assert values == pytest.approx(
        {
            "chooser/nodes/none": 2,
            "chooser/nodes/wrong": 2,
            "chooser/nodes/right": 2,
            "chooser/finished/none": 1,
            "chooser/finished/wrong": 1,
            "chooser/finished/right": 1,
            "chooser/early": 2,
            "chooser/late": 1,
            "chooser/cut": 1,
            "chooser/chains": 4,
            "chooser/early_rate": 2 / 4,
            "chooser/late_rate": 1 / 2,
            "chooser/cut_rate": 1 / 4,
            "chooser/finished_rate/none": 1 / 2,
            "chooser/finished_rate/wrong": 1 / 2,
            "chooser/finished_rate/right": 1 / 2,
        }
    )


def test_batching_saving_and_resuming_do_not_matter(tmp_path: Path) -> None:
    whole, stopped, resumed = confusion(TREES), confusion(TREES[:2]), confusion()
    torch.save(stopped.state_dict(), tmp_path / "state.pt")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed.update(chains(TREES[2:]))
    assert torch.equal(resumed.choices, whole.choices)
    assert (resumed.cut, resumed.chains) == (whole.cut, whole.chains)


def test_a_rate_of_nothing_is_unknown() -> None:
    values = confusion([main_only(True, written("#4"))]).compute()
    assert values["chooser/early_rate"].isnan() and values["chooser/late_rate"].isnan()
    assert values["chooser/cut_rate"] == 1
