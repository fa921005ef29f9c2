"""Runs whose verifier cannot judge: told by every verb, stopped after a chunk, nothing lost."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from callbacks import AdapterCheckpoint, PredictionLog, RunSummary, TraceLog
from callbacks.summary.shares import UNJUDGED
from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.evaluation_module import EvaluationModule
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.play.flows.single import SingleFlow
from flowdpo_pl.results.traces import read_traces
from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.math_verifier import MathVerifier
from tests import runs

QUICKSTART = runs.ROOT / "quickstart" / "problems" / "valid.jsonl"
COMPLAINT = r"answers cannot be judged \(valid-\d+: gold '\d+', 'timeout'; valid-.*; valid-.*\): mend"


class Broken(MathVerifier):
    """Has no verdict on the answers to every so many-th gold answer."""

    def __init__(self, of: int = 1) -> None:
        super().__init__()
        self._of = of

    def compare(self, prediction: object, gold: object) -> Future[Verdict]:
        done: Future[Verdict] = Future()
        error = "timeout" if int(str(gold)) % self._of == 0 else None
        done.set_result(Verdict(False, None, error))
        return done


def data(folder: Path, unreadable: int = 0, **options: Any) -> PromptDataModule:
    """24 problems, and some without a readable gold answer before them."""
    rows = [json.loads(line) for line in QUICKSTART.read_text().splitlines()[: 24 + unreadable]]
    for row in rows[:unreadable]:
        row["answer"] = "see the solution sheet"
    path = folder / "valid.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = ProblemSource(str(path), id_field="id")
    sources = dict.fromkeys(("train", "validation", "test", "predict"), source)
    sources["train" if "test" in options else "test"] = None  # type: ignore[assignment]
    return PromptDataModule(**{**sources, "batch_size": 8, "chunk_size": 16, "shuffle": False, **options})


def evaluation(**options: Any) -> EvaluationModule:
    return EvaluationModule(**runs.with_team({"flow": SingleFlow(max_tokens=8), **options}))


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def test_a_fit_stops_after_its_first_chunk_and_keeps_what_it_has(tmp_path: Path) -> None:
    run = runs.module(verifier=Broken(), check=False)  # which would have refused it at once
    watching = (RunSummary(), AdapterCheckpoint(1000))
    with pytest.raises(UserError, match=COMPLAINT):
        runs.trainer(tmp_path, *watching, enable_checkpointing=True).fit(run, data(tmp_path))
    found = summary(tmp_path)
    assert (found["ended"], found["problems_seen"], found["judging_error_rate"]) == ("UserError", 16, 1.0)
    assert (tmp_path / "checkpoints" / "problems_000016.ckpt").exists()


def test_a_fit_tells_what_it_could_not_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = runs.Recorder()
    run = runs.module(max_problems=8)
    runs.trainer(tmp_path, recorder, RunSummary()).fit(run, data(tmp_path, unreadable=4))
    (values,) = recorder.values
    assert values["judged_answers"] == sum(1 + len(tree.forks) for tree in run.trees)
    assert (values["judging_errors"], values["judging_error_rate"], values["timeout_rate"]) == (0, 0, 0)
    assert values["unreadable_gold_rate"] > 0
    found = summary(tmp_path)
    assert (found["judging_error_rate"], found["timeout_rate"]) == (0.0, 0.0)
    assert found["unreadable_gold_rate"] == values["unreadable_gold_rate"]
    assert "unreadable golds" in capsys.readouterr().out


def test_validate_stops_too(tmp_path: Path) -> None:
    runner = runs.trainer(tmp_path, RunSummary(), limit_val_batches=1.0)
    with pytest.raises(UserError, match=COMPLAINT):
        runner.validate(runs.module(verifier=Broken()), data(tmp_path), verbose=False)
    assert (summary(tmp_path)["ended"], summary(tmp_path)["problems_seen"]) == ("UserError", 16)


def test_validate_logs_the_shares(tmp_path: Path) -> None:
    runner = runs.trainer(tmp_path, limit_val_batches=1.0)
    runner.validate(runs.module(), data(tmp_path, unreadable=8), verbose=False)
    shares = {name: float(runner.callback_metrics[f"validation/{name}"]) for name in UNJUDGED}
    assert shares == {"unreadable_gold_rate": 0.25, "judging_error_rate": 0.0, "timeout_rate": 0.0}


def played_test(folder: Path, problems: PromptDataModule, verifier: MathVerifier) -> None:
    runs.trainer(folder, PredictionLog()).test(evaluation(verifier=verifier), problems, verbose=False)


def test_a_test_stops_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = data(tmp_path).sources["validation"]
    problems = data(tmp_path, train=None, predict=None, test=source)
    with pytest.raises(UserError, match=COMPLAINT):
        played_test(tmp_path, problems, Broken())
    unfinished = tmp_path / "predictions.unfinished.jsonl"
    assert len(unfinished.read_text().splitlines()) == 1 + 16
    played_test(
        tmp_path, data(tmp_path, train=None, predict=None, test=source, chunk_size=24), Broken(of=10**6)
    )
    found = summary(tmp_path)
    assert (found["problems"], found["judging_errors"]) == (24, 16)
    assert (found["judging_error_rate"], found["timeout_rate"]) == (16 / 24, 16 / 24)
    assert "judging errors 66.7%, of them time-outs 66.7%" in capsys.readouterr().out


def test_a_test_tells_the_share_of_unreadable_golds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = data(tmp_path, unreadable=8).sources["validation"]
    played_test(tmp_path, data(tmp_path, 8, train=None, predict=None, test=source), MathVerifier())
    found = summary(tmp_path)
    assert (found["problems"], found["unreadable_gold_rate"]) == (24, 0.25)
    assert found["skipped"] == {"unreadable gold answer": 8}
    assert "unreadable golds 25.0%, judging errors 0.0%" in capsys.readouterr().out


def test_a_collection_stops_and_its_traces_know_the_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = evaluation(verifier=Broken())
    with pytest.raises(UserError, match=COMPLAINT):
        runs.trainer(tmp_path, TraceLog()).predict(run, data(tmp_path))
    traces = read_traces(tmp_path / "traces.jsonl")
    assert [(trace.judging_errors, trace.judging_timeouts) for trace in traces] == [(1, 1)] * 16
    found = summary(tmp_path)
    assert (found["ended"], found["judging_errors"], found["judging_error_rate"]) == ("UserError", 16, 1.0)
    assert "judging errors 100.0%" in capsys.readouterr().out


def test_few_errors_stop_nothing(tmp_path: Path) -> None:
    run = evaluation(verifier=Broken(of=10**6))
    runs.trainer(tmp_path, TraceLog()).predict(run, data(tmp_path))
    assert (summary(tmp_path)["ended"], summary(tmp_path)["judging_errors"]) == ("finished", 0)
