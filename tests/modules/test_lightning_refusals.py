"""A `raise` of Lightning's is a sentence for the user; everything else stays a traceback."""

from __future__ import annotations

from types import FunctionType

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.lightning_refusals import lightning_refusals


def test_what_lightning_raises_is_said_on_one_line() -> None:
    told = r"^Lightning refuses this: .*profiler.*docs/trainer\.md"
    with pytest.raises(UserError, match=told) as caught, lightning_refusals():
        Trainer(accelerator="cpu", logger=False, profiler="none such")
    assert "\n" not in str(caught.value) and caught.value.__cause__ is not None


def test_a_sentence_of_ours_stays_as_it_is() -> None:
    with pytest.raises(UserError, match=r"^ours$"), lightning_refusals():
        raise UserError("ours")


def fit(*callbacks: Callback) -> None:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(accelerator="cpu", logger=False, max_steps=1, callbacks=list(callbacks), **quiet)
    module: LightningModule = BoringModel()
    trainer.fit(module)


class Misshapen(Callback):
    def on_train_start(self) -> None:  # type: ignore[override]
        """Without what Lightning gives."""


def test_a_call_of_lightning_s_that_goes_wrong_is_a_bug() -> None:
    with pytest.raises(TypeError, match="on_train_start"), lightning_refusals():
        fit(Misshapen())


def misuse() -> None:
    Trainer(accelerator="cpu", logger=False, profiler="none such")


@pytest.mark.parametrize("module", ["callbacks.mine", "flowdpo_pl.modules.mine"])
def test_what_our_own_code_makes_lightning_raise_is_a_bug(module: str) -> None:
    ours = FunctionType(misuse.__code__, {**globals(), "__name__": module})
    with pytest.raises(MisconfigurationException), lightning_refusals():
        ours()
