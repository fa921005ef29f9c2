"""What an object says of the arguments that it was made with."""

from __future__ import annotations

import copy
import pickle

import pytest

from callbacks import AdapterCheckpoint, TreeLog
from flowdpo_pl import FunctionVerifier, MathVerifier, PromptDataModule


def test_arguments_are_known_by_name_with_defaults() -> None:
    assert AdapterCheckpoint(32, keep_last=None).made_with == {
        "every_n_problems": 32,
        "keep_best": True,
        "keep_last": None,
    }
    assert TreeLog().made_with == {"parquet": False}
    assert MathVerifier(timeout=2.0).made_with == {"workers": 1, "timeout": 2.0, "memory_gb": 1.0}


def test_copies_know_them_too() -> None:
    verifier = FunctionVerifier("flowdpo_pl.exact", {}, in_process=True)
    for copied in (copy.deepcopy(verifier), pickle.loads(pickle.dumps(verifier))):
        assert copied.made_with == verifier.made_with
    data = PromptDataModule(batch_size=4)
    assert copy.copy(data).made_with == data.made_with


def test_arguments_that_do_not_fit_are_said_by_the_class() -> None:
    with pytest.raises(TypeError, match="every"):
        AdapterCheckpoint(every=3)  # type: ignore[call-arg]
