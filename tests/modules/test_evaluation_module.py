"""Testing and collecting through Lightning: equal to `validate`, in any batches, stopped and resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from callbacks import EvaluationProgressBar, PredictionLog, TraceLog
from flowdpo_pl.cli import main
from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.modules.evaluation_module import EvaluationModule
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.flows.single import SingleFlow
from flowdpo_pl.play.team import Budget, Start
from flowdpo_pl.results.predictions import read_predictions
from flowdpo_pl.results.traces import Trace, read_traces
from flowdpo_pl.types import Problem, RolloutTree
from tests import runs
from tests.two_ranks import run_program

FLOW = AnswerStopFlow(chunk_tokens=12, max_chunks=4)
HOT = Sampling(temperature=1.0)
VALID = runs.ROOT / "quickstart/problems/valid.jsonl"


def module(**options: Any) -> EvaluationModule:
    """With options of the module and of its team."""
    return EvaluationModule(**runs.with_team({"flow": FLOW, **options}))


def data(batch_size: int = 8, limit: int = 16, **options: Any) -> PromptDataModule:
    source = ProblemSource(str(VALID), limit=limit, **options)
    return PromptDataModule(test=source, batch_size=batch_size, chunk_size=160)


def to_collect(batch_size: int = 8, limit: int = 16) -> PromptDataModule:
    return PromptDataModule(predict=ProblemSource(str(VALID), limit=limit), batch_size=batch_size)


def judged(
    folder: Path, *callbacks: Callback, problems: PromptDataModule | None = None, **options: Any
) -> Any:
    run = module(**options)
    runs.trainer(folder, *callbacks).test(run, problems or data(), verbose=False)
    return run


def collected(
    folder: Path, *callbacks: Callback, problems: PromptDataModule | None = None, **options: Any
) -> Any:
    run = module(**{"sampling": HOT, "attempts": 3, **options})
    runs.trainer(folder, *callbacks).predict(run, problems or to_collect())
    return run


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two adapters that change what the agents do."""
    folder = tmp_path_factory.mktemp("adapters")
    model, _ = BaseModel(str(runs.MODEL), dtype="float32").load()
    agents = Agents(model, (ANSWER, STOP), LoraSettings(r=4, alpha=8))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for agent in agents.names:
            for parameter in agents.parameters_of(agent):
                parameter.data.normal_(std=0.15)
    agents.save(folder)
    return {agent: str(folder / agent) for agent in (ANSWER, STOP)}


class Trees(Callback):
    """Keeps the trees of `validate`."""

    def __init__(self) -> None:
        self.trees: list[RolloutTree] = []

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *_: Any, **__: Any) -> None:
        self.trees += pl_module.trees


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.0), HOT])
def test_a_test_plays_what_validate_plays(
    tmp_path: Path, sampling: Sampling, adapters: dict[str, str]
) -> None:
    trainee, trees = runs.module(sampling=sampling), Trees()
    for agent, folder in adapters.items():
        trainee.players.agents.load_saved(agent, Path(folder))
    trainer = runs.trainer(tmp_path, trees, limit_val_batches=1.0)
    trainer.validate(trainee, runs.data(), verbose=False)
    run = judged(tmp_path, start=Start(adapters), sampling=sampling, verifier=trainee.verifier)
    assert [p.text for p in run.results.predictions] == [tree.main.answer for tree in trees.trees]
    assert [p.correct for p in run.results.predictions] == [tree.main.correct for tree in trees.trees]
    of_validate = {
        name.removeprefix("validation/"): float(value) for name, value in trainer.callback_metrics.items()
    }
    of_test = run.summary()
    for name in ("accuracy", "low", "high"):
        assert of_test[name] == pytest.approx(of_validate[name]), "one interval for one fixed flow"
    for name, value in of_test["chooser"].items():
        assert value == pytest.approx(of_validate[f"chooser/{name}"], nan_ok=True)


def test_agents_without_an_adapter_play_the_base(tmp_path: Path, adapters: dict[str, str]) -> None:
    from transformers import AutoModelForCausalLM

    base, moved = judged(tmp_path), judged(tmp_path, start=Start({ANSWER: adapters[ANSWER]}))
    assert [p.text for p in base.results.predictions] != [p.text for p in moved.results.predictions]
    single = judged(tmp_path, flow=SingleFlow(30), problems=data(limit=4))
    plain = AutoModelForCausalLM.from_pretrained(runs.MODEL, dtype=torch.float32)
    for prediction in single.results.predictions:
        book = single.players.prompts
        prompt = book.context(ANSWER, Problem("", prediction.question, ""), ()).token_ids
        written = plain.generate(torch.tensor([prompt]), max_new_tokens=30, do_sample=False)[0, len(prompt) :]
        assert prediction.text == book.decode(written.tolist())


def test_predictions_do_not_depend_on_batches(tmp_path: Path) -> None:
    options: dict[str, Any] = {"sampling": HOT, "samples": 2}
    one = judged(tmp_path, problems=data(batch_size=1, limit=6), budget=Budget(decode_tokens=1), **options)
    all_at_once = judged(tmp_path, problems=data(batch_size=6, limit=6), **options)
    assert one.results.predictions == all_at_once.results.predictions


def test_samples_differ_and_the_first_ones_stay(tmp_path: Path) -> None:
    two, three = (judged(tmp_path, sampling=HOT, samples=n) for n in (2, 3))
    assert [p for p in three.results.predictions if p.sample < 2] == two.results.predictions
    texts = {n: [p.text for p in three.results.predictions if p.sample == n] for n in range(3)}
    assert texts[0] != texts[1] != texts[2] != texts[0]
    assert judged(tmp_path, sampling=HOT, samples=3).results.predictions == three.results.predictions


def test_attempts_are_the_samples_until_one_is_right(tmp_path: Path) -> None:
    samples = judged(tmp_path, sampling=HOT, samples=3).results.predictions
    traces = collected(tmp_path).results.traces
    assert len(traces) == 16
    assert len({trace.attempts for trace in traces.values()}) > 1, "some are solved later than others"
    for problem, trace in traces.items():
        tries = [p for p in samples if p.problem_id == problem][: trace.attempts]
        assert [p.correct for p in tries[:-1]] == [False] * (trace.attempts - 1)
        assert (trace.trace, trace.correct) == (tries[-1].text, tries[-1].correct)
        assert trace.correct or trace.attempts == 3
        assert trace.generated_tokens == sum(p.tokens for p in tries)


def test_what_test_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in VALID.read_text().splitlines()[:6]]
    file = tmp_path / "labelled.jsonl"
    file.write_text("".join(json.dumps({**row, "level": n % 2}) + "\n" for n, row in enumerate(rows)))
    problems = PromptDataModule(test=ProblemSource(str(file), label_fields=["level"]), batch_size=4)
    run = judged(tmp_path, PredictionLog(), problems=problems, sampling=HOT, samples=2)
    assert read_predictions(tmp_path / "predictions.jsonl") == run.results.predictions
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["problems"], summary["samples"]) == (6, 12)
    levels = summary["by_label"]["level"]
    assert [levels[value]["problems"] for value in "01"] == [3, 3]
    assert levels["0"]["correct"] + levels["1"]["correct"] == summary["correct"]
    assert summary["majority"]["low"] <= summary["majority"]["accuracy"] <= summary["majority"]["high"]
    assert summary["chooser"]["nodes/none"] > 0 and 0 <= summary["cut_rate"] <= 1
    assert summary["generated_tokens"] == sum(p.tokens for p in run.results.predictions) > 0
    assert summary["made_by"]["samples"] == 2 and summary["versions"]["torch"]
    printed = capsys.readouterr().out
    assert "level: 1" in printed and "majority" in printed


class Killed(Callback):
    """Ends the run before its `batch`-th batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_test_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        if batch_idx == self.batch:
            raise RuntimeError("killed")


def test_a_test_that_was_killed_goes_on(
    tmp_path: Path, adapters: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options: dict[str, Any] = {"sampling": HOT, "samples": 2, "start": Start(adapters)}
    judged(whole, PredictionLog(), **options)
    with pytest.raises(RuntimeError, match="killed"):
        judged(parts, PredictionLog(), Killed(1), **options)
    assert not (parts / "predictions.jsonl").exists() and not (parts / "summary.json").exists()
    unfinished = parts / "predictions.unfinished.jsonl"
    assert f"the same command goes on from {unfinished}" in capsys.readouterr().out
    with unfinished.open("a") as file:
        file.write(unfinished.read_text().splitlines()[-1][:50])  # killed while writing
    played = Played()
    judged(parts, PredictionLog(), played, problems=data(batch_size=5), **options)
    assert played.problems == 8, "the others are taken from the file"
    assert (parts / "predictions.jsonl").read_text() == (whole / "predictions.jsonl").read_text()
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (whole, parts)]
    assert all({**summary, "seconds": 0} == {**summaries[0], "seconds": 0} for summary in summaries)
    assert not unfinished.exists() and not (whole / unfinished.name).exists()


class Played(Callback):
    """Counts the problems that were answered now."""

    problems = 0

    def on_test_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.problems += len(outputs["answered"])


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """What a test leaves that was killed after eight problems."""
    with pytest.raises(RuntimeError, match="killed"):
        judged(tmp_path, PredictionLog(), Killed(1))
    return tmp_path / "predictions.unfinished.jsonl"


def test_answers_made_otherwise_are_refused(unfinished: Path) -> None:
    with pytest.raises(UserError, match=r"unfinished\.jsonl was made otherwise: flow was"):
        judged(unfinished.parent, PredictionLog(), flow=SingleFlow(12))
    unfinished.write_text('{"made_by": {}}\n')
    with pytest.raises(UserError, match="made otherwise: base was None"):
        judged(unfinished.parent, PredictionLog())


def test_answers_to_other_questions_are_given_anew(unfinished: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in VALID.read_text().splitlines()[:16]]
    (tmp_path / "other.jsonl").write_text(
        "".join(json.dumps({**row, "answer": row["answer"] + "0"}) + "\n" for row in rows)
    )
    played = Played()
    problems = PromptDataModule(test=ProblemSource(str(tmp_path / "other.jsonl")), batch_size=8)
    judged(unfinished.parent, PredictionLog(), played, problems=problems)
    assert played.problems == 16


def test_a_flow_without_a_chooser_has_none_of_its_statistics(tmp_path: Path) -> None:
    run = judged(tmp_path, flow=SingleFlow(3), problems=data(limit=4))
    assert run.summary()["chooser"] == {}
    assert run.summary()["cut_rate"] == 1.0
    assert judged(tmp_path, flow=SingleFlow(80), problems=data(limit=4)).summary()["cut_rate"] < 1.0


def test_skipped_rows_are_told(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(VALID.read_text().splitlines()[0] + '\n{"question": "", "answer": "1"}\n')
    run = judged(tmp_path, problems=PromptDataModule(test=ProblemSource(str(file))))
    assert run.summary()["skipped"] == {"no question": 1}


def lines(folder: Path) -> list[str]:
    return (folder / "traces.jsonl").read_text().splitlines(keepends=True)


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    collected(whole, TraceLog())
    collected(parts, TraceLog(), problems=to_collect(limit=8))
    with (parts / "traces.jsonl").open("a") as file:
        file.write(lines(whole)[8][:50])  # killed while writing
    run = collected(parts, TraceLog())
    assert run.results.resumed == 8
    assert lines(parts) == lines(whole)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (whole, parts)]
    for name in ("problems", "accepted", "acceptance", "attempts", "generated_tokens", "made_by"):
        assert summaries[0][name] == summaries[1][name], name
    assert collected(parts, TraceLog()).results.resumed == 16
    assert lines(parts) == lines(whole), "nothing is written twice"


TWO_RANKS = """
import json, sys, torch
torch.set_num_threads(1)
from pathlib import Path
from callbacks import PredictionLog, TraceLog
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy
from tests import runs
from tests.modules.test_evaluation_module import HOT, data, module, to_collect

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    run, options = module(sampling=HOT, samples=2, attempts=2), {"devices": 2}
    options["strategy"] = AdapterStrategy(process_group_backend="gloo")
    trainer = runs.trainer(folder, PredictionLog(), TraceLog(), **options)
    trainer.test(run, data(batch_size=3, limit=14), verbose=False)
    (folder / f"{trainer.global_rank}.json").write_text(json.dumps(run.results.summary()))
    trainer.predict(run, to_collect(batch_size=3, limit=14))
"""


@pytest.mark.long
def test_two_ranks_write_what_one_writes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    tested = judged(one, PredictionLog(), problems=data(limit=14), sampling=HOT, samples=2).results.summary()
    collected(one, TraceLog(), problems=to_collect(limit=14), attempts=2)
    two.mkdir()
    run_program(TWO_RANKS, two)
    for name in ("predictions.jsonl", "traces.jsonl"):
        assert (two / name).read_text() == (one / name).read_text()
    assert tested["chooser"] and tested["problems"] == 14
    for rank in range(2):
        assert (two / f"{rank}.json").read_text() == json.dumps(tested)


def test_a_run_made_otherwise_is_not_resumed(tmp_path: Path, adapters: dict[str, str]) -> None:
    collected(tmp_path, TraceLog(), problems=to_collect(limit=2))
    for name, options in {
        "seed": {"seed": 1},
        "sampling": {"sampling": Sampling(temperature=0.5)},
        "attempts": {"attempts": 2},
        "adapters": {"start": Start(adapters)},
    }.items():
        with pytest.raises(UserError, match=rf"was made otherwise: {name}"):
            collected(tmp_path, TraceLog(), **options)


def test_the_token_budget_ends_the_run_between_batches(tmp_path: Path) -> None:
    whole = collected(tmp_path / "whole", TraceLog())
    spent = sum(trace.generated_tokens for trace in list(whole.results.traces.values())[:8])
    part = collected(tmp_path / "part", TraceLog(), max_generated_tokens=spent)
    assert list(part.results.traces) == list(whole.results.traces)[:8]
    assert part.results.generated_tokens == spent and part.summary()["out_of_tokens"]
    again = collected(tmp_path / "part", TraceLog(), max_generated_tokens=spent)
    assert again.results.traces == part.results.traces
    collected(tmp_path / "part", TraceLog(), max_generated_tokens=10**6)
    assert lines(tmp_path / "part") == lines(tmp_path / "whole")


def test_traces_are_read_back_from_both_formats(tmp_path: Path) -> None:
    run = collected(tmp_path, TraceLog(parquet=True), source="flow", problems=to_collect(limit=4))
    traces = read_traces(tmp_path / "traces.jsonl")
    assert traces == list(run.results.traces.values()) == read_traces(tmp_path / "traces.parquet")
    assert {trace.source for trace in traces} == {"flow"}
    assert all(isinstance(trace, Trace) and trace.made_by["seed"] == 0 for trace in traces)


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_progress_is_told_in_problems(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = runs.trainer(tmp_path, EvaluationProgressBar(every_n_problems=8), enable_progress_bar=True)
    if verb == "test":
        trainer.test(module(), data(), verbose=False)
    else:
        trainer.predict(module(), to_collect())
    told = [line.split(" problems")[0] for line in capsys.readouterr().out.splitlines() if " | right" in line]
    assert told == [f"{verb} 8/16", f"{verb} 16/16"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"samples": 0}, "model.samples is 0"),
        ({"max_generated_tokens": 0}, "model.max_generated_tokens is 0"),
        ({"attempts": 0}, "model.attempts is 0"),
        ({"start": {"adapters": {"critic": "x"}}}, "names 'critic', but the flow's agents are"),
        ({"start": {"adapters": {ANSWER: "no/where"}}}, "no/where holds no adapter"),
    ],
)
def test_impossible_arguments_are_refused_at_once(options: dict[str, Any], told: str) -> None:
    if "start" in options:
        options = {"start": Start(**options["start"])}
    with pytest.raises(UserError, match=told):
        module(**options)


@pytest.mark.parametrize(
    ("verb", "options", "told"),
    [
        ("test", {"samples": 2}, "temperature 0 all are the same"),
        ("predict", {"attempts": 2}, "temperature 0 all are the same"),
        (
            "predict",
            {"samples": 2, "sampling": HOT},
            "samples is 2, but `predict` counts model.attempts",
        ),
        ("test", {"attempts": 2, "sampling": HOT}, "attempts is 2, but `test` counts model.samples"),
    ],
)
def test_a_number_of_answers_that_the_verb_cannot_give_is_refused(
    verb: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        module(**options).setup(verb)


def test_adapters_of_other_shapes_are_refused(tmp_path: Path, adapters: dict[str, str]) -> None:
    model, _ = BaseModel(str(runs.MODEL), dtype="float32").load()
    Agents(model, (ANSWER,), LoraSettings(r=2)).save(tmp_path)
    with pytest.raises(
        UserError, match=r"adapters\.answer and model\.team\.start\.adapters\.stop have other shapes"
    ):
        module(start=Start({ANSWER: str(tmp_path / ANSWER), STOP: adapters[STOP]}))


def test_a_checkpoint_is_no_adapter(tmp_path: Path) -> None:
    trainee = runs.module(max_problems=8)
    trainer = runs.trainer(tmp_path)
    trainer.fit(trainee, runs.data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="takes adapters, not a checkpoint"):
        runs.trainer(tmp_path).test(module(), data(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)


@pytest.mark.parametrize(("verb", "make"), [("test", PredictionLog), ("predict", TraceLog)])
def test_the_logs_refuse_a_module_that_neither_tests_nor_collects(
    tmp_path: Path, verb: str, make: Callable[[], Callback]
) -> None:
    with pytest.raises(UserError, match=r"follows .*EvaluationModule, not FlowDPOModule"):
        make().setup(runs.trainer(tmp_path), runs.module(), verb)


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_the_trainer_of_agents_sends_to_the_right_module(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.ROOT)
    with pytest.raises(UserError, match=rf"FlowDPOModule has no `{verb}`: set .*EvaluationModule"):
        main([verb, "--config", "configs/quickstart.yaml"])


def test_nothing_played_is_no_accuracy() -> None:
    assert math.isnan(module().results.accuracy)
