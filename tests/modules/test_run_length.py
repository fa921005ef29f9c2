"""How long a run lasts: refused limits, what is told at its start, what has ended it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from callbacks import AdapterCheckpoint
from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.run_length import Limits, outlook
from flowdpo_pl.verify.function_verifier import FunctionVerifier
from flowdpo_pl.verify.math_verifier import MarkedAnswerVerifier, MathVerifier
from flowdpo_pl.verify.verifier import Verifier
from tests.runs import ROOT, Recorder, data, module, trainer, weights

FEW = ProblemSource(str(ROOT / "quickstart/problems/train.jsonl"), limit=16)


@pytest.mark.parametrize(
    ("setting", "value", "instead"),
    [
        ("max_epochs", 3, r"data\.passes"),
        ("min_epochs", 2, r"data\.passes"),
        ("max_steps", 5, r"model\.max_problems"),
        ("min_steps", 5, r"model\.max_problems"),
        ("limit_train_batches", 2, r"model\.max_problems"),
        ("overfit_batches", 1, r"data\.train\.limit"),
    ],
)
def test_limits_that_count_something_else_are_refused(
    setting: str, value: int, instead: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"max_epochs": -1, setting: value}
    run = Trainer(accelerator="cpu", default_root_dir=tmp_path, logger=False, limit_val_batches=0, **options)
    with pytest.raises(UserError, match=rf"trainer\.{setting} is {value}, .*{instead}"):
        run.fit(module(), data())


class Stops(Callback):
    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = True


@pytest.mark.parametrize(
    ("ended_by", "of_module", "of_trainer"),
    [
        ("max_problems", {"max_problems": 8}, {}),
        ("max_generated_tokens", {"max_generated_tokens": 1}, {}),
        ("data", {"max_problems": None}, {}),
        ("data", {"max_problems": 1536}, {}),
        ("max_time", {"max_problems": None}, {"max_time": timedelta(microseconds=1)}),
        ("should_stop", {"max_problems": None}, {"callbacks": [Stops()]}),
    ],
)
def test_what_has_ended_a_run_is_told(
    ended_by: str, of_module: dict[str, Any], of_trainer: dict[str, Any], tmp_path: Path
) -> None:
    run, saver = module(**of_module), AdapterCheckpoint(every_n_problems=1000)
    options = dict(of_trainer)
    options["enable_checkpointing"] = True
    trainer(tmp_path, saver, *options.pop("callbacks", ()), **options).fit(run, data(train=FEW))
    assert run.ended_by == ended_by and run.problems_expected in (8, 16)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["PromptDataModule"]["consumed"] == run.problems_seen


def test_a_second_pass_has_new_draws_and_the_accuracy_is_the_first_one_s(tmp_path: Path) -> None:
    once, twice = Recorder(), Recorder()
    trainer(tmp_path, once).fit(first := module(max_problems=None), data(train=FEW))
    after_one = weights(first)
    run = module(max_problems=None)
    trainer(tmp_path, twice).fit(run, data(train=FEW, passes=2))
    assert run.problems_seen == 32 and run.ended_by == "data"
    for one, two in zip(once.values, twice.values[:2], strict=True):
        kept = [name for name in one if "second" not in name and "memory" not in name]
        assert [one[name] for name in kept] == pytest.approx([two[name] for name in kept], nan_ok=True)
    assert any(not torch.equal(value, after_one[name]) for name, value in weights(run).items())
    assert [values["data_pass"] for values in twice.values] == [1, 1, 2, 2]
    assert len({values["progressive_accuracy"] for values in twice.values[1:]}) == 1
    assert ["again/accuracy" in values for values in twice.values] == [False, False, True, True]
    one, two = (run._rollouts_of(number).draws for number in (1, 2))
    assert one == run.draws != two


def test_a_run_that_stopped_in_its_second_pass_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    whole = module(max_problems=None)
    trainer(tmp_path).fit(whole, data(train=FEW, passes=2))
    stopped = trainer(tmp_path)
    stopped.fit(module(max_problems=24), data(train=FEW, passes=2))
    stopped.save_checkpoint(tmp_path / "part.ckpt")
    resumed = module(max_problems=None)
    trainer(tmp_path).fit(
        resumed, data(train=FEW, passes=2), ckpt_path=tmp_path / "part.ckpt", weights_only=True
    )
    for (name, a), b in zip(weights(whole).items(), weights(resumed).values(), strict=True):
        assert torch.equal(a, b), name


def test_a_run_goes_on_under_the_same_judge_alone(tmp_path: Path) -> None:
    stopped = trainer(tmp_path)
    stopped.fit(module(max_problems=8, verifier=MathVerifier()), data(train=FEW))
    stopped.save_checkpoint(tmp_path / "part.ckpt")

    def resumed(verifier: Verifier) -> None:
        run = module(max_problems=16, verifier=verifier)
        trainer(tmp_path).fit(run, data(train=FEW), ckpt_path=tmp_path / "part.ckpt", weights_only=True)

    with pytest.raises(UserError, match=r"verifier\.class was MathVerifier and is MarkedAnswerVerifier"):
        resumed(MarkedAnswerVerifier())
    with pytest.raises(UserError, match=r"model\.verifier\.timeout was 5\.0 and is 0\.5"):
        resumed(MathVerifier(timeout=0.5))
    with pytest.raises(UserError, match=r"model\.verifier was .*MathVerifier.* and is .*flowdpo_pl\.exact"):
        resumed(FunctionVerifier("flowdpo_pl.exact"))
    resumed(MathVerifier(workers=2, memory_gb=2.0))
    trainer(tmp_path, limit_val_batches=1.0).validate(
        module(verifier=MarkedAnswerVerifier()), data(), ckpt_path=tmp_path / "part.ckpt", weights_only=True
    )


@pytest.mark.parametrize(
    ("in_data", "limits", "told"),
    [
        (
            200,
            {"model.max_problems": 1536},
            "160 problems to come; the end of data.train ends it, not model.max",
        ),
        (
            2000,
            {"model.max_problems": 1536},
            "at most 1,496 problems to come; model.max_problems 1,536 ends",
        ),
        (
            200,
            {},
            "160 problems to come; the end of data.train ends it (model.max_gen",
        ),
        (
            None,
            {"model.max_problems": 50},
            "at most 10 problems to come; model.max_problems 50 ends it, after a whole batch, or",
        ),
        (None, {}, "fit: problems to come; the end of data.train ends it"),
    ],
)
def test_what_is_to_come_is_told_in_one_line(in_data: int | None, limits: dict[str, int], told: str) -> None:
    line = outlook("fit", 40, "data.train", in_data, limits, ["model.max_generated_tokens"])
    assert told in line and "\n" not in line


def test_a_limit_is_reached_where_as_much_was_spent_and_problems_come_first() -> None:
    assert Limits(None, None).reached(10**6, 10**9) is None
    assert [Limits(8, 100).reached(*spent) for spent in ((7, 99), (8, 0), (0, 100), (8, 100))] == [
        None,
        "max_problems",
        "max_generated_tokens",
        "max_problems",
    ]
