"""Which traces count, in which order they come, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.trace_data_module import TraceDataModule
from flowdpo_pl.results.traces import Trace
from tests.modules.test_prompt_data_module import trainer
from tests.trace_files import world_traces, write_traces


class Reader(LightningModule):
    """Writes down which traces each epoch saw; a trace is as long as it has words."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[str]] = []
        self.validated: list[str] = []

    def longest(self) -> int:
        return 1000

    def tokens_of(self, trace: Trace) -> int:
        return len(f"{trace.question} {trace.trace}".split())

    def on_train_epoch_start(self) -> None:
        self.seen.append([])

    def training_step(self, batch: list[Trace], batch_idx: int) -> torch.Tensor:
        self.seen[-1] += [trace.problem_id for trace in batch]
        self.trainer.datamodule.mark_consumed()  # type: ignore[attr-defined]
        return self.weight * 1.0

    def validation_step(self, batch: list[Trace], batch_idx: int) -> None:
        self.validated += [trace.problem_id for trace in batch]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return write_traces(tmp_path / "train.jsonl", world_traces(10, wrong=2))


def read(folder: Path, data: TraceDataModule, epochs: int = 2) -> Reader:
    reader = Reader()
    trainer(folder, max_epochs=epochs).fit(reader, data)
    return reader


def test_epochs_have_the_same_traces_in_another_order(file: str, tmp_path: Path) -> None:
    data = TraceDataModule([file], batch_size=3)
    first, second = read(tmp_path, data).seen
    assert sorted(first) == sorted(second) == sorted(f"train-{n}" for n in range(8))
    assert first != second
    assert data.counts["train"] == {"used": 8, "not correct": 2, "too long": 0}


def test_the_order_is_a_function_of_the_seed(file: str, tmp_path: Path) -> None:
    def seen(**options: Any) -> list[list[str]]:
        return read(tmp_path, TraceDataModule([file], batch_size=3, **options)).seen

    assert seen(seed=1) == seen(seed=1) != seen(seed=2)
    assert seen(shuffle=False) == [[f"train-{n}" for n in range(8)]] * 2


def test_traces_that_are_too_long_are_skipped_and_counted(file: str, tmp_path: Path) -> None:
    traces = world_traces(10, wrong=2)[:8]
    lengths = [Reader().tokens_of(trace) for trace in traces]
    limit = sorted(lengths)[3]
    data = TraceDataModule([file], max_tokens=limit)
    (seen,) = read(tmp_path, data, epochs=1).seen
    short = [trace.problem_id for trace, n in zip(traces, lengths, strict=True) if n <= limit]
    assert sorted(seen) == sorted(short)
    assert data.counts["train"]["too long"] == 8 - len(short) > 0


def test_limit_takes_the_first_and_validation_keeps_its_order(file: str, tmp_path: Path) -> None:
    valid = write_traces(tmp_path / "valid.jsonl", world_traces(5, "valid"))
    reader = read(tmp_path, TraceDataModule([file], [valid], batch_size=2, limit=3), epochs=1)
    assert sorted(reader.seen[0]) == ["train-0", "train-1", "train-2"]
    assert reader.validated == [f"valid-{n}" for n in range(5)]


def test_several_files_are_one_set(file: str, tmp_path: Path) -> None:
    other = write_traces(tmp_path / "other.jsonl", world_traces(4, "valid"))
    (seen,) = read(tmp_path, TraceDataModule([file, other]), epochs=1).seen
    assert len(seen) == 12


def refusal(**options: Any) -> str:
    with pytest.raises(UserError) as caught:
        TraceDataModule(**options).setup("fit")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "1 + 1 ?", "answer": "2"}\n')
    assert "line 1 is no trace: it has no problem_id" in refusal(train=[str(tmp_path / "rows.jsonl")])


def test_an_arm_without_a_correct_trace_is_refused(file: str, tmp_path: Path) -> None:
    empty = write_traces(tmp_path / "self.jsonl", world_traces(3, "valid", wrong=3))
    message = refusal(train=[file, empty])
    assert f"data.train: {empty} holds no correct trace among 3" in message


def test_traces_that_are_all_too_long_are_refused(file: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="all 8 correct traces are longer than 2 tokens"):
        read(tmp_path, TraceDataModule([file], max_tokens=2))


def test_a_problem_in_training_and_validation_is_refused_with_its_id(file: str, tmp_path: Path) -> None:
    train, fresh = world_traces(8), world_traces(3, "valid")
    same_id = replace(fresh[0], problem_id="train-1")
    same_question = replace(fresh[1], question=f" {train[2].question.upper()[:-1]} ?")
    valid = write_traces(tmp_path / "valid.jsonl", [same_id, same_question, fresh[2]])
    message = refusal(train=[file], validation=[valid])
    assert "2 problems of data.validation are in data.train too" in message
    assert "train-1, valid-1;" in message


def test_sizes_must_be_positive(file: str) -> None:
    assert "data.batch_size is 0: give at least 1" in refusal(train=[file], batch_size=0)
    assert "data.limit is 0" in refusal(train=[file], limit=0)
    assert "data.train names no file" in refusal(train=[])


def test_a_position_on_other_traces_is_refused(file: str, tmp_path: Path) -> None:
    data = TraceDataModule([file], batch_size=3)
    data.setup()
    state = data.state_dict()
    changed = TraceDataModule([file], batch_size=2, limit=7)
    changed.setup()
    changed.load_state_dict(state)
    with pytest.raises(UserError, match=r"made otherwise: data.train was 8 traces .* data.batch_size was 3"):
        changed.train_dataloader()


def test_validation_files_are_read_where_there_is_validation_alone(file: str, tmp_path: Path) -> None:
    def data() -> TraceDataModule:
        return TraceDataModule([file], validation=[str(tmp_path / "absent.jsonl")], batch_size=4)

    trainer(tmp_path, max_epochs=1, limit_val_batches=0).fit(Reader(), data())
    with pytest.raises(UserError, match=r"absent\.jsonl does not exist"):
        trainer(tmp_path, max_epochs=1, limit_val_batches=1.0).fit(Reader(), data())
