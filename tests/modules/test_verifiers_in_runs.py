"""Verifiers in whole runs: a function is a class, a worker this process, scores of 0 and 1 a truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from flowdpo_pl.cli import main
from flowdpo_pl.data.gold import Plain
from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.evaluation_module import EvaluationModule
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.flows.single import SingleFlow
from flowdpo_pl.types import RolloutTree
from flowdpo_pl.verify.function_verifier import FunctionVerifier
from flowdpo_pl.verify.verifier import Verifier
from tests import runs
from tests.conftest import CoinJudge

TRAIN = runs.ROOT / "quickstart" / "problems" / "train.jsonl"


class Trees(Callback):
    """Keeps what was played."""

    def __init__(self) -> None:
        self.trees: list[RolloutTree] = []
        self.values: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.trees += pl_module.trees
        self.values.append(outputs)

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *_: Any, **__: Any) -> None:
        self.trees += pl_module.trees


def trained(folder: Path, verifier: Verifier | str, **options: Any) -> tuple[FlowDPOModule, Trees]:
    run, trees = runs.module(verifier=verifier, max_problems=16, **options), Trees()
    runs.trainer(folder, trees).fit(run, runs.data())
    return run, trees


@pytest.fixture(scope="module")
def by_class(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Weights and scores of a run that a class has judged."""
    run, trees = trained(tmp_path_factory.mktemp("class"), CoinJudge())
    assert sum(values["answer/pairs"] + values["stop/pairs"] for values in trees.values) > 10
    return runs.weights(run), [tree.main.score for tree in trees.trees]


@pytest.mark.parametrize(
    "verifier",
    [
        "tests.judges.coin",
        "tests.judges.coin_score",
        "tests.judges.coin_verdict",
        FunctionVerifier("tests.judges.coin", in_process=True),
    ],
)
def test_a_run_judged_by_a_function_is_the_run_judged_by_a_class(
    verifier: Verifier | str, by_class: tuple[dict[str, torch.Tensor], list[float]], tmp_path: Path
) -> None:
    run, trees = trained(tmp_path, verifier)
    assert [tree.main.score for tree in trees.trees] == by_class[1]
    now = runs.weights(run)
    assert all(torch.equal(now[name], weight) for name, weight in by_class[0].items())


def test_graded_scores_give_more_pairs_and_a_margin_fewer(tmp_path: Path) -> None:
    graded = FunctionVerifier("tests.judges.graded", in_process=True)
    run, trees = trained(tmp_path / "0", graded)
    scores = [tree.main.score for tree in trees.trees]
    assert sum(0 < score < 1 for score in scores) > 0
    last = trees.values[-1]
    assert last["progressive_accuracy"] == pytest.approx(sum(scores) / len(scores))
    assert sum(values["signs/right"] for values in trees.values) == pytest.approx(sum(scores))
    first = [sum(v["answer/pairs"] + v["stop/pairs"] for v in trees.values[:1])]
    for margin in (0.25, 0.5):
        _, others = trained(tmp_path / str(margin), graded, score_margin=margin)
        first.append(sum(v["answer/pairs"] + v["stop/pairs"] for v in others.values[:1]))
    assert first[0] > first[1] > first[2] > 0
    assert run.verifier.counts.judged >= len(trees.trees)


def test_within_the_margin_nothing_is_learnt(tmp_path: Path) -> None:
    close = FunctionVerifier("tests.judges.near", in_process=True)
    still, moved = (trained(tmp_path / str(m), close, score_margin=m)[0] for m in (0.5, 0.25))
    start = runs.weights(runs.module())
    assert all(torch.equal(weight, start[name]) for name, weight in runs.weights(still).items())
    assert not all(torch.equal(weight, start[name]) for name, weight in runs.weights(moved).items())


def kept_rows(folder: Path, number: int = 16) -> ProblemSource:
    """Problems with golds of words and a column that the verifier reads."""
    rows = [json.loads(line) for line in TRAIN.read_text().splitlines()[:number]]
    for row in rows:
        row |= {"answer": "as the column says", "scores": {"The": 0.5}}
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ProblemSource(str(folder / "rows.jsonl"), keep=["scores"], gold=Plain())


@pytest.mark.parametrize("in_process", [True, False])
def test_kept_columns_reach_the_verifier_wherever_it_is_asked(in_process: bool, tmp_path: Path) -> None:
    """And gold answers that mathematics can't read are no reason to leave a problem out."""
    source = kept_rows(tmp_path)
    verifier = FunctionVerifier("tests.judges.any_of_column", in_process=in_process)
    data = PromptDataModule(source, source, source, source, chunk_size=16, batch_size=8)
    trees = Trees()
    run = runs.module(verifier=verifier, max_problems=16)
    # test and train share their questions, which `fit` refuses
    runs.trainer(tmp_path, trees).fit(run, PromptDataModule(source, chunk_size=16, batch_size=8))
    runs.trainer(tmp_path, trees, limit_val_batches=1.0).validate(run, data, verbose=False)
    assert len(trees.trees) == 32 and not any(tree.main.verdict.error for tree in trees.trees)
    evaluation = EvaluationModule(**runs.with_team({"flow": SingleFlow(max_tokens=8), "verifier": verifier}))
    only_test = PromptDataModule(test=source, chunk_size=16, batch_size=8)
    runs.trainer(tmp_path).test(evaluation, only_test, verbose=False)
    assert evaluation.results.problems == 16 and evaluation.summary()["judging_errors"] == 0
    only_predict = PromptDataModule(predict=source, chunk_size=16, batch_size=8)
    runs.trainer(tmp_path).predict(evaluation, only_predict)
    assert evaluation.results.problems == 16 and evaluation.summary()["judging_errors"] == 0
    counts = verifier.counts
    assert counts.judged > 64 and counts.errors == counts.timeouts == 0


def test_without_its_column_a_verifier_stops_the_run_at_its_start(tmp_path: Path) -> None:
    verifier = FunctionVerifier("tests.judges.any_of_column", in_process=True)
    with pytest.raises(UserError, match=r"can judge none of 8 gold answers .*no column 'scores'"):
        trained(tmp_path, verifier)


def test_predict_takes_answers_from_a_score_on(tmp_path: Path) -> None:
    source = ProblemSource(str(TRAIN), limit=16)
    accepted: dict[float | None, dict[str, bool]] = {}
    for accept_from in (None, 0.5):
        run = EvaluationModule(
            **runs.with_team({"flow": SingleFlow(max_tokens=12)}),
            sampling=Sampling(temperature=1.0),
            verifier=FunctionVerifier("tests.judges.graded", in_process=True),
            accept_from=accept_from,
        )
        runs.trainer(tmp_path).predict(run, PromptDataModule(predict=source, chunk_size=16, batch_size=8))
        traces = run.results.traces  # type: ignore[union-attr]
        accepted[accept_from] = {name: trace.correct for name, trace in traces.items()}
        least = 1.0 if accept_from is None else accept_from
        assert all(trace.correct == (trace.score >= least) for trace in traces.values())
        assert run.made_by()["accept_from"] == accept_from
    assert sum(accepted[0.5].values()) > sum(accepted[None].values())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model.verifier=tests.judges.sme"], "tests.judges has no 'sme'"),
        (["--model.verifier=tests.judges.three"], "takes 'extra' too"),
        (["--model.verifier=tests.nowhere.same"], "no module 'tests.nowhere'"),
        (
            [
                "--model.verifier=flowdpo_pl.FunctionVerifier",
                "--model.verifier.function=tests.judges.same",
                "--model.verifier.timeout=0",
            ],
            "timeout is 0",
        ),
        (["--model.verifier=flowdpo_pl.exact", "--model.score_margin=1"], "score_margin is 1"),
    ],
)
def test_what_is_wrong_with_a_verifier_is_said_before_a_model_is_loaded(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = f"--config={runs.ROOT / 'configs' / 'quickstart.yaml'}"
    monkeypatch.setattr("flowdpo_pl.play.team.Team.load", lambda *_, **__: pytest.fail("a model is loaded"))
    monkeypatch.chdir(runs.ROOT)
    with pytest.raises(Exception, match=r"model\.") as refused:
        main(["fit", config, f"--trainer.logger.init_args.save_dir={tmp_path}", *words])
    assert told in str(refused.value)
