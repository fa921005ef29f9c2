"""`--run` is the same as naming everything of the run by hand. Also tests `command_line.told_run`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from flowdpo_pl.__main__ import main as run_program
from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.command_line.given import given_by
from flowdpo_pl.command_line.taken_run import class_of, flow_of, taken_from, with_run
from flowdpo_pl.command_line.verbs import VERBS
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.trained_run import TrainedRun
from tests.finished_runs import SOURCE, copied
from tests.runs import MODEL, ROOT

PROBLEMS = [f"--data.test.path={SOURCE}", "--data.test.limit=24"]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture
def unrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse and instantiate, but don't run."""
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)


def settings(*words: str, verb: str = "test") -> dict[str, object]:
    """What a command comes to."""
    values: dict[str, object] = main([verb, *words]).config[verb].as_dict()
    return values


def test_it_predicts_byte_for_byte_what_all_overrides_do(finished_run: Path, tmp_path: Path) -> None:
    run = copied(finished_run, tmp_path)
    main(["test", f"--run={run}", *PROBLEMS, "--model.sampling.temperature=1"])
    (tmp_path / "evaluate.yaml").write_text(
        "model: {class_path: flowdpo_pl.EvaluationModule}\n"
        "trainer: {callbacks: [callbacks.EvaluationProgressBar, callbacks.PredictionLog]}"
    )
    by_hand = [
        *("--config=configs/quickstart.yaml", f"--config={tmp_path / 'evaluate.yaml'}", "--data.train=null"),
        *(f"--model.team.start.adapters.{agent}={run}/adapters/last/{agent}" for agent in ("answer", "stop")),
        *("--seed_everything=3", f"--trainer.logger.init_args.save_dir={tmp_path}"),
        *("--trainer.logger.init_args.name=by_hand", "--model.sampling.temperature=1"),
    ]
    main(["test", *by_hand, *PROBLEMS])
    names = ("predictions.jsonl", "summary.json")
    taken, written = ([tmp_path / name / "test" / file for file in names] for name in (run.name, "by_hand"))
    assert taken[0].read_bytes() == written[0].read_bytes()
    assert len(taken[0].read_text().splitlines()) == 24
    made_by = [json.loads(summary.read_text())["made_by"] for summary in (taken[1], written[1])]
    assert made_by[0] == made_by[1]


def test_validate_plays_as_it_does_from_the_checkpoint(finished_run: Path, tmp_path: Path) -> None:
    run = copied(finished_run, tmp_path)
    main(["validate", f"--run={run}", "--data.validation.limit=24"])
    taken = json.loads((run / "validate" / "summary.json").read_text())
    main(
        [
            *("validate", f"--config={run / 'config.yaml'}", f"--ckpt_path={run / 'checkpoints/last.ckpt'}"),
            *("--data.validation.limit=24", f"--trainer.logger.init_args.save_dir={tmp_path}"),
            "--trainer.logger.init_args.name=from_checkpoint",
        ]
    )
    known = json.loads((tmp_path / "from_checkpoint" / "validate" / "summary.json").read_text())
    same = ("accuracy", "low", "high", "chooser", "chunks_per_answer", "generated_tokens", "problems_seen")
    assert {name: taken[name] for name in same} == {name: known[name] for name in same}


def test_predict_keeps_traces_below_the_run(finished_run: Path, tmp_path: Path) -> None:
    run = copied(finished_run, tmp_path)
    main(["predict", f"--run={run}", f"--data.predict.path={SOURCE}", "--data.predict.limit=8"])
    assert len((run / "predict" / "traces.jsonl").read_text().splitlines()) == 8


def test_another_test_of_the_run_is_refused_as_ever(finished_run: Path, tmp_path: Path) -> None:
    run = copied(finished_run, tmp_path)
    (run / "test").mkdir()
    (run / "test" / "predictions.jsonl").write_text("{}\n")
    (run / "test" / "run.json").write_text('{"verb": "test", "settings": "", "started": ""}')
    with pytest.raises(UserError, match="holds a run already"):
        main(["test", f"--run={run}", *PROBLEMS])


@pytest.mark.usefixtures("unrun")
def test_what_only_training_needs_is_left(finished_run: Path) -> None:
    found = settings(f"--run={finished_run}", *PROBLEMS)
    model = found["model"]["init_args"]  # type: ignore[index]
    assert model["team"]["flow"]["init_args"] == {"chunk_tokens": 12, "max_chunks": 6}
    assert model["sampling"]["temperature"] == 0 and "learning" not in model
    assert model["verifier"]["class_path"] == "flowdpo_pl.MarkedAnswerVerifier"
    callbacks = [one["class_path"] for one in found["trainer"]["callbacks"]]  # type: ignore[index]
    assert callbacks == ["callbacks.EvaluationProgressBar", "callbacks.PredictionLog"]
    assert found["data"]["init_args"]["train"] is None  # type: ignore[index]


@pytest.mark.usefixtures("unrun")
def test_what_is_given_beside_it_wins_and_is_said(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "model: {init_args: {verifier: MathVerifier, team: {prompts: {answer: {user: '{question}?'}}}}}"
    )
    words = ["test", "--run", str(finished_run), f"--config={mine}", *PROBLEMS, "--seed_everything=5"]
    model = settings(*words[1:])["model"]["init_args"]  # type: ignore[index]
    assert model["verifier"]["class_path"] == "flowdpo_pl.MathVerifier" and model["seed"] == 5
    assert model["team"]["prompts"]["answer"]["user"] == "{question}?"
    assert model["team"]["prompts"]["stop"]["user"] == "{question} Draft: {partial} Finished?"
    monkeypatch.setattr("sys.argv", ["flowdpo_pl", *words])
    run_program()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("taken from")]
    assert line == (
        f"taken from {finished_run}: base quickstart/model (float32), prompts, AnswerStopFlow, "
        "adapters last of answer and stop; given instead: model.verifier, "
        "model.team.prompts.answer.user, seed_everything"
    )


def test_another_flow_takes_the_adapters_of_its_own_agents(finished_run: Path) -> None:
    given = {"model": {"team": {"flow": "SingleFlow"}}}
    taken = taken_from(TrainedRun.at(finished_run), "best" if best(finished_run) else "last", "test", given)
    assert list(taken.config["model"]["init_args"]["team"]["start"]["adapters"]) == ["answer"]


def best(run: Path) -> bool:
    return (run / "adapters" / "best").is_dir()


@pytest.mark.usefixtures("unrun")
def test_an_adapter_given_for_one_agent_leaves_the_other_s(finished_run: Path, tmp_path: Path) -> None:
    other = str(finished_run / "adapters" / "problems_000016" / "answer")
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        yaml.safe_dump({"model": {"init_args": {"team": {"start": {"adapters": {"answer": other}}}}}})
    )
    for words in ([f"--config={mine}"], [f"--model.team.start.adapters.answer={other}"]):
        model = settings(f"--run={finished_run}", *words, *PROBLEMS)["model"]["init_args"]  # type: ignore[index]
        assert model["team"]["start"]["adapters"] == {
            "answer": other,
            "stop": str(finished_run / "adapters" / "last" / "stop"),
        }


def test_a_moved_run_works_where_its_base_is_found(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(finished_run, tmp_path)
    monkeypatch.chdir(tmp_path)  # quickstart/model is not below it
    main(["test", f"--run={run.name}", *PROBLEMS])
    from_elsewhere = (tmp_path / run.name / "test" / "predictions.jsonl").read_bytes()
    shutil.rmtree(run / "test")
    monkeypatch.chdir(ROOT)
    main(["test", f"--run={run}", *PROBLEMS])
    assert (run / "test" / "predictions.jsonl").read_bytes() == from_elsewhere


@pytest.mark.usefixtures("unrun")
def test_a_base_that_is_not_there_is_named_with_what_to_give(finished_run: Path, tmp_path: Path) -> None:
    run = copied(finished_run, tmp_path)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("path: quickstart/model", "path: no/such/model"))
    with pytest.raises(UserError, match=r"no/such/model, is not there .*--model\.team\.base\.path=BASE"):
        with_run(VERBS["test"], [f"--run={run}", *PROBLEMS])
    model = settings(f"--run={run}", f"--model.team.base.path={MODEL}", *PROBLEMS)["model"]
    assert model["init_args"]["team"]["base"] == {  # type: ignore[index]
        **yaml.safe_load(config)["model"]["init_args"]["team"]["base"],
        "path": str(MODEL),
    }


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--run"], "--run names a run"),
        (["--which=best"], "--run names a run"),
        (["--run=no/such/run"], "no/such/run is no folder"),
        (["--run=quickstart"], "quickstart is no run's folder"),
    ],
)
def test_what_is_no_run_is_said_before_anything_is_imported(words: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        with_run(VERBS["test"], words)


def test_an_agent_whose_adapter_is_gone_does_not_play_the_base_in_silence(
    finished_run: Path, tmp_path: Path
) -> None:
    run = copied(finished_run, tmp_path)
    shutil.rmtree(run / "adapters" / "last" / "stop")
    with pytest.raises(UserError, match=r"adapters/last has no adapter of agent 'stop'"):
        with_run(VERBS["test"], [f"--run={run}"])


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("trainer", 5),
        ("seed_everything", {"class_path": "x"}),
        ("data", 5),
        ("data", {"class_path": "flowdpo_pl.PromptDataModule", "init_args": 5}),
        ("data", {"class_path": "flowdpo_pl.PromptDataModule", "init_args": {"validation": {}}}),
    ],
)
def test_sections_of_another_form_are_nothing_or_the_parser_s(
    finished_run: Path, tmp_path: Path, section: str, value: object
) -> None:
    run = copied(finished_run, tmp_path)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, section: value}))
    for verb in ("test", "validate"):
        (taken,) = with_run(VERBS[verb], [f"--run={run}"])
        found = yaml.safe_load(taken.removeprefix("--config="))
        assert found["seed_everything"] == (0 if section == "seed_everything" else 3)
        assert ("accelerator" in found["trainer"]) == (section != "trainer")


def test_a_flow_may_be_named_alone_and_its_settings_must_be_its_own(
    finished_run: Path, tmp_path: Path
) -> None:
    team = TrainedRun.at(finished_run).team
    assert flow_of({**team, "flow": "flowdpo_pl.SingleFlow"}, tmp_path).agents == ("answer",)
    assert flow_of({**team, "flow": {}}, tmp_path).agents == ("answer", "stop")
    wrong = {"class_path": "flowdpo_pl.SingleFlow", "init_args": {"words": 5}}
    with pytest.raises(UserError, match=r"does not take its settings \(.*'words'\)"):
        flow_of({**team, "flow": wrong}, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["runs.my-run.evil.Flow", "1st.Flow", "pack.Flow ", ".pack.Flow", "pack..Flow", "Nobody", "", 5, None],
)
def test_what_is_no_dotted_name_is_never_imported(monkeypatch: pytest.MonkeyPatch, name: object) -> None:
    def imported(module: str) -> None:
        raise AssertionError(module)

    monkeypatch.setattr("flowdpo_pl.command_line.taken_run.import_module", imported)
    assert class_of(name) is None and class_of({"class_path": name}) is None


def test_a_fine_tuned_run_without_its_writer_s_prompt_is_refused(finished_run: Path, tmp_path: Path) -> None:
    run = fine_tuned(finished_run, tmp_path)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["init_args"]["team"]["prompts"] = {}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="has no prompt of agent 'answer'"):
        with_run(VERBS["test"], [f"--run={run}"])


def test_a_base_whose_config_is_a_pipe_tells_no_context(finished_run: Path, tmp_path: Path) -> None:
    run = fine_tuned(finished_run, tmp_path)
    (tmp_path / "base").mkdir()
    os.mkfifo(tmp_path / "base" / "config.json")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["init_args"]["team"]["base"]["path"] = str(tmp_path / "base")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (taken,) = with_run(VERBS["test"], [f"--run={run}"])
    flow = yaml.safe_load(taken.removeprefix("--config="))["model"]["init_args"]["team"]["flow"]
    assert flow["init_args"] == {"max_tokens": 72}


def test_a_verb_that_learns_takes_no_run(finished_run: Path) -> None:
    words = [f"--run={finished_run}"]
    assert with_run(VERBS["fit"], words) == words  # the parser then has no such key
    assert given_by([]) == {}


def fine_tuned(run: Path, folder: Path) -> Path:
    """What a fine-tuning of the same base would have left."""
    made = folder / "tuned"
    made.mkdir()
    shutil.copytree(run / "adapters" / "last" / "answer", made / "adapter")
    config = yaml.safe_load((run / "config.yaml").read_text())
    team = config["model"]["init_args"]["team"]
    team["prompts"] = {"answer": team["prompts"]["answer"]}
    config["model"] = {"class_path": "flowdpo_pl.SFTModule", "init_args": {"team": team}}
    (made / "config.yaml").write_text(yaml.safe_dump(config))
    return made


def test_a_fine_tuned_model_writes_in_one_go(finished_run: Path, tmp_path: Path) -> None:
    run = fine_tuned(finished_run, tmp_path)
    main(["test", f"--run={run}", *PROBLEMS])
    made_by = json.loads((run / "test" / "summary.json").read_text())["made_by"]
    assert made_by["flow"] == {"class": "SingleFlow", "max_tokens": 72}
    assert list(made_by["adapters"]) == ["answer"]
    with pytest.raises(UserError, match="fine-tuned a single model"):
        with_run(VERBS["validate"], [f"--run={run}"])
