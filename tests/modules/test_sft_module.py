"""Fine-tuning through Lightning: against plain transformers, and as a function of its seed alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from callbacks import SFTCheckpoint, SFTSummary
from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.supervised_learner import SupervisedLearning
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.modules.sft_module import SFTModule
from flowdpo_pl.modules.trace_data_module import TraceDataModule
from flowdpo_pl.play.flows.answer_stop import ANSWER
from flowdpo_pl.play.prompts import AgentPrompt
from flowdpo_pl.play.team import Budget
from flowdpo_pl.results.traces import Trace
from tests.runs import MODEL, with_team
from tests.trace_files import world_traces, write_traces
from tests.two_ranks import run_program


def module(**options: Any) -> SFTModule:
    arguments: dict[str, Any] = {
        "prompts": {ANSWER: AgentPrompt("{question}")},
        "learning": SupervisedLearning(lr=1e-2),
    }
    return SFTModule(**with_team({**arguments, **options}))


def data(folder: Path, **options: Any) -> TraceDataModule:
    train = write_traces(folder / "data" / "train.jsonl", world_traces(22))
    return TraceDataModule(**{"train": [train], "batch_size": 4, **options})


def trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    return Trainer(
        **{
            "accelerator": "cpu",
            "default_root_dir": folder,
            "max_epochs": 2,
            "num_sanity_val_steps": 0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": list(callbacks),
            **options,
        }
    )


class Recorder(Callback):
    """Keeps what every optimizer step returned."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if outputs:
            self.values.append(dict(outputs))


def fit(folder: Path, **options: Any) -> tuple[SFTModule, Recorder]:
    of_data = {name: options.pop(name) for name in ("batch_size", "shuffle", "limit") if name in options}
    of_trainer = {name: options.pop(name) for name in ("max_epochs", "max_steps") if name in options}
    run, recorder = module(**options), Recorder()
    trainer(folder, recorder, **of_trainer).fit(run, data(folder, **of_data))
    return run, recorder


def weights(run: SFTModule) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in run.learner.agents.adapter_state().items()}


def assert_same_weights(one: SFTModule, other: SFTModule, **tolerance: float) -> None:
    for (name, a), b in zip(weights(one).items(), weights(other).values(), strict=True):
        torch.testing.assert_close(a, b, **(tolerance or {"atol": 0, "rtol": 0}), msg=name)


class Plain:
    """The same training in stock transformers and PEFT: one trace at a time, labels -100 on the question."""

    def __init__(self, start: SFTModule, folder: Path) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder.mkdir(parents=True)
        start.save_adapter(folder / "start")
        base = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
        self.tokenizer = AutoTokenizer.from_pretrained(MODEL)
        self.model = PeftModel.from_pretrained(base, folder / "start", is_trainable=True)
        self.optimizer = torch.optim.AdamW(
            [p for p in self.model.parameters() if p.requires_grad], weight_decay=0
        )

    def loss(self, traces: Sequence[Trace]) -> torch.Tensor:
        """Mean over all completion tokens."""
        losses, tokens = [], 0
        for trace in traces:
            message = [{"role": "user", "content": trace.question}]
            text = self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
            question = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            written = self.tokenizer(trace.trace, add_special_tokens=False)["input_ids"]
            written.append(self.tokenizer.eos_token_id)
            labels = torch.tensor([[-100] * len(question) + written])
            losses.append(self.model(torch.tensor([question + written]), labels=labels).loss * len(written))
            tokens += len(written)
        return torch.stack(losses).sum() / tokens

    def step(self, traces: Sequence[Trace], lr: float, max_grad_norm: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        loss = self.loss(traces)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())


def test_training_is_that_of_plain_transformers(tmp_path: Path) -> None:
    learning = SupervisedLearning(lr=1e-2, warmup_ratio=0.3, max_grad_norm=0.005)
    start = module(learning=learning)
    plain = Plain(start, tmp_path / "plain")
    run, recorder = fit(tmp_path, learning=learning, shuffle=False)
    traces = world_traces(22)
    batches = [traces[:8], traces[8:16], traces[16:]] * 2
    rates = [0.5, 1, 1, 0.75, 0.5, 0.25]
    for values, batch, share in zip(recorder.values, batches, rates, strict=True):
        assert values["lr"] == pytest.approx(share * 1e-2)
        assert values["train/loss"] == pytest.approx(plain.step(batch, share * 1e-2, 0.005), rel=1e-4)
        assert values["grad_norm"] > 0.005  # clipping is at work
    theirs = [p for name, p in plain.model.named_parameters() if ".lora_" in name]
    for own, other in zip(weights(run).values(), theirs, strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-3)
    assert recorder.values[-1]["train/loss"] < recorder.values[0]["train/loss"]


def test_packed_in_rows_or_one_trace_a_row_learns_the_same(tmp_path: Path) -> None:
    packed, values = fit(tmp_path)
    alone, other = fit(tmp_path, budget=Budget(update_tokens=1))
    for a, b in zip(values.values, other.values, strict=True):
        assert a["train/loss"] == pytest.approx(b["train/loss"], rel=1e-4)
    assert_same_weights(packed, alone, atol=1e-4, rtol=1e-3)


def test_accumulation_is_a_batch_that_is_larger_also_with_dropout(tmp_path: Path) -> None:
    lora = LoraSettings(r=4, alpha=8, dropout=0.2)
    two, _ = fit(tmp_path, lora=lora, accumulation=2, batch_size=4)
    one, _ = fit(tmp_path, lora=lora, accumulation=1, batch_size=8)
    assert_same_weights(two, one)
    smaller, _ = fit(tmp_path, lora=lora, accumulation=1, batch_size=4)
    assert any(
        not torch.equal(a, b) for a, b in zip(weights(one).values(), weights(smaller).values(), strict=True)
    )


def test_activation_checkpointing_changes_nothing(tmp_path: Path) -> None:
    plain, _ = fit(tmp_path, max_epochs=1)
    checkpointed, _ = fit(tmp_path, max_epochs=1, budget=Budget(activation_checkpointing=True))
    assert_same_weights(plain, checkpointed, atol=1e-6, rtol=1e-5)


class SaveAfter(Callback):
    """Saves a checkpoint after so many batches."""

    def __init__(self, file: Path, batches: int) -> None:
        self.file, self.left = file, batches

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            trainer.save_checkpoint(self.file)


@pytest.mark.parametrize("batches", [1, 2, 6, 9])
def test_stopped_and_resumed_equals_uninterrupted(batches: int, tmp_path: Path) -> None:
    """Inside a step's batches, between steps, at the end of an epoch (of 6 batches) and after it."""
    lora, file = LoraSettings(r=4, alpha=8, dropout=0.2), tmp_path / "part.ckpt"
    whole = module(lora=lora)
    trainer(tmp_path, SaveAfter(file, batches)).fit(whole, data(tmp_path))
    resumed = module(lora=lora)
    trainer(tmp_path).fit(resumed, data(tmp_path), ckpt_path=file, weights_only=True)
    assert_same_weights(whole, resumed)


def test_a_run_that_is_over_goes_on_with_more_epochs(tmp_path: Path) -> None:
    learning = SupervisedLearning(lr=1e-3, warmup_ratio=0.0)
    part = module(learning=learning)
    fitted = trainer(tmp_path, max_epochs=1)
    fitted.fit(part, data(tmp_path))
    fitted.save_checkpoint(tmp_path / "part.ckpt")
    more, recorder = module(learning=learning), Recorder()
    trainer(tmp_path, recorder).fit(more, data(tmp_path), ckpt_path=tmp_path / "part.ckpt", weights_only=True)
    assert [values["lr"] for values in recorder.values] == pytest.approx([5e-4, 1e-3 / 3, 1e-3 / 6])


def test_validation_measures_the_mean_over_completion_tokens(tmp_path: Path) -> None:
    valid = world_traces(7, "valid")
    run, files = module(), [write_traces(tmp_path / "valid.jsonl", valid)]
    plain = Plain(run, tmp_path / "plain")
    before = weights(run)
    (measured,) = trainer(tmp_path).validate(run, data(tmp_path, validation=files), verbose=False)
    with torch.no_grad():
        assert measured["validation/loss"] == pytest.approx(float(plain.loss(valid)), rel=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in weights(run).items())


def test_a_checkpoint_holds_the_adapter_only_and_the_folder_is_peft_s(tmp_path: Path) -> None:
    import json

    from safetensors.torch import load_file

    run = module()
    trainer(tmp_path, SFTCheckpoint(every_n_steps=2), SFTSummary(), enable_checkpointing=True).fit(
        run, data(tmp_path)
    )
    assert_same_weights(run, fit(tmp_path)[0])  # the callbacks only watch
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["state_dict"] and all(".lora_" in name for name in saved["state_dict"])
    assert saved["SFTModule"]["updates"] == 6 and saved["SFTModule"]["waiting"] == []
    written = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    for name, value in weights(run).items():
        assert torch.equal(written[name.replace(f".{ANSWER}.", ".").removeprefix("peft.")], value)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["ended"] == "finished" and summary["updates"] == 6 and summary["epochs"] == 2
    assert summary["data"]["train"]["used"] == 22 and summary["loss"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "checkpoints", "data", "summary.json"}


class Stop(Callback):
    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 2:
            raise KeyboardInterrupt


def test_an_interrupted_run_is_saved_between_batches_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trainer(tmp_path, Stop(), SFTCheckpoint(), enable_checkpointing=True).fit(module(), data(tmp_path))
    file = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(file, weights_only=True)["SFTModule"]["updates"] == 2
    resumed = module()
    trainer(tmp_path).fit(resumed, data(tmp_path), ckpt_path=file, weights_only=True)
    assert_same_weights(fit(tmp_path)[0], resumed)


def test_a_finished_run_that_lost_its_summary_gets_it_again(tmp_path: Path) -> None:
    def go(**options: Any) -> None:
        runner = trainer(tmp_path, SFTCheckpoint(), SFTSummary(), enable_checkpointing=True)
        runner.fit(module(), data(tmp_path), **options)

    go()
    file = tmp_path / "summary.json"
    told = json.loads(file.read_text())
    file.unlink()
    go(ckpt_path=tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert json.loads(file.read_text()) == told and told["ended"] == "finished"


def test_checkpoints_of_something_else_are_refused(tmp_path: Path) -> None:
    fitted = trainer(tmp_path, max_epochs=1)
    fitted.fit(module(), data(tmp_path))
    fitted.save_checkpoint(tmp_path / "c.ckpt")
    other = module(prompts={ANSWER: AgentPrompt("{question} Think.")})
    with pytest.raises(UserError, match=r"made otherwise: prompts\.answer"):
        trainer(tmp_path).fit(other, data(tmp_path), ckpt_path=tmp_path / "c.ckpt", weights_only=True)
    with pytest.raises(UserError, match="not one of SFTModule"):
        module().on_load_checkpoint({"flowdpo": {}})


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model.accumulation is 0"):
        module(accumulation=0)
    with pytest.raises(UserError, match=r"model.team.prompts.answer is one of an agent that reads"):
        module(prompts={ANSWER: AgentPrompt("{question} {partial} ?", options=("Yes", "No"))})
    with pytest.raises(UserError, match="say how long to train"):
        fit(tmp_path, max_epochs=-1)


def test_traces_whose_tokens_are_not_those_of_their_text_are_counted_and_learnt(tmp_path: Path) -> None:
    first, second, third, *rest = world_traces(22)
    prompts = module().players.prompts
    end = prompts.controls.ids[prompts.end_ids[0]]
    written = replace(first, token_ids=prompts.written(first.trace)[:-1])
    foreign, ended = replace(second, token_ids=(1, 2)), replace(third, trace=f"so {end} {third.trace}")
    file = write_traces(tmp_path / "train.jsonl", [written, foreign, ended, *rest])
    run, recorder, read = module(), Recorder(), TraceDataModule([file], batch_size=4)
    trainer(tmp_path, recorder, max_epochs=1).fit(run, read)
    assert read.counts["train"] == {
        "used": 22,
        "not correct": 0,
        "too long": 0,
        "tokenised again, in other tokens": 1,
        "with control tokens, read as text": 1,
    }
    assert not any(values["updates_set_aside"] for values in recorder.values)


def test_a_loss_that_is_not_finite_is_set_aside(tmp_path: Path) -> None:
    run = module()
    with torch.no_grad():
        run.learner.agents.parameters_of(ANSWER)[0].fill_(float("nan"))
    with pytest.warns(UserWarning, match="nothing was learnt from them"):
        trainer(tmp_path, max_epochs=1).fit(run, data(tmp_path))
    assert all(bool((p == 0).all()) for p in run.learner.agents.parameters_of(ANSWER)[1::2])


PROGRAM = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy
from tests.modules.test_sft_module import data, module, trainer, weights

if __name__ == "__main__":
    run, folder = module(), Path(sys.argv[1])
    ranks = {"devices": 2, "strategy": AdapterStrategy(process_group_backend="gloo")}
    trainer(folder, max_epochs=1, **ranks).fit(run, data(folder, batch_size=3))
    torch.save(weights(run), folder / f"{torch.distributed.get_rank()}.pt")
"""


@pytest.mark.long
def test_two_ranks_equal_one(tmp_path: Path) -> None:
    one, _ = fit(tmp_path, max_epochs=1, batch_size=3)
    run_program(PROGRAM, tmp_path)
    for rank in range(2):
        other = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in weights(one).items():
            torch.testing.assert_close(other[name], value, atol=2e-4, rtol=1e-3)
