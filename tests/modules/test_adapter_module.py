"""What the modules share: loaded once, when asked; adapters alone as state; checkpoints of a kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.modules.adapter_module import AdapterModule
from flowdpo_pl.types import Problem
from tests.play.test_team import TEAM


class Counting(AdapterModule):
    """Counts loads and keeps a number in its checkpoints."""

    reads = Problem
    loads = 0
    number = 0

    def load(self) -> Any:
        self.loads += 1
        return super().load()

    def saved(self) -> dict[str, Any]:
        return {"number": self.number}

    def restore(self, saved: Any) -> None:
        self.number = saved["number"]


def test_the_team_is_loaded_once_and_not_by_making_the_module() -> None:
    module = Counting(TEAM, seed=0)
    assert module.loads == 0 and not list(module.parameters())
    assert module.players is module.players and module.identity() == module.players.identity()
    module.configure_model()
    assert module.loads == 1


def test_an_error_while_loading_is_its_own() -> None:
    module = AdapterModule(replace(TEAM, base=BaseModel("./no/such/model")), seed=0)
    with pytest.raises(UserError, match=r"the base '\./no/such/model' is no model folder"):
        module.configure_model()


def test_the_state_is_the_adapters_alone() -> None:
    one, other = Counting(TEAM, seed=0), Counting(TEAM, seed=1)
    assert all(".lora_" in name for name in one.state_dict())
    assert any(not torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    other.load_state_dict(one.state_dict())
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_checkpoint_is_taken_up_by_its_own_kind_only() -> None:
    module, checkpoint = Counting(TEAM, seed=0), {}
    module.number = 7
    module.on_save_checkpoint(checkpoint)
    again = Counting(TEAM, seed=0)
    again.on_load_checkpoint(checkpoint)
    assert again.number == 7
    with pytest.raises(UserError, match="not one of AdapterModule: give one that `fit` with AdapterModule"):
        AdapterModule(TEAM, seed=0).on_load_checkpoint(checkpoint)
    other = replace(TEAM, lora=replace(TEAM.lora, r=2))
    with pytest.raises(UserError, match=r"the checkpoint was made otherwise: lora\.r was 4 and is 2"):
        Counting(other, seed=0).on_load_checkpoint(checkpoint)


@pytest.mark.parametrize("batch", [torch.zeros(2), [torch.zeros(2)], {"id": "a"}, "text"])
def test_batches_of_another_kind_are_refused(batch: Any) -> None:
    module = Counting(TEAM, seed=0)
    with pytest.raises(UserError, match=r"data\.class_path gives batches that are no lists of Problems"):
        module.on_before_batch_transfer(batch, 0)
    problems = [Problem("a", "1 + 1?", "2")]
    assert module.on_before_batch_transfer(problems, 0) is problems
    assert module.on_before_batch_transfer([], 0) == [] and module.loads == 0, "a rank may have none"
