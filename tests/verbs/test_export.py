"""What others load of a run plays as the run does, and says nothing of this machine.

Also tests `verbs.card_code`, `verbs.flow_recipe`, `verbs.model_card`, `verbs.bound_prompts`,
`verbs.base_argument`, `model.base_name`, `results.learnt_from` and `results.scores`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from benchmarks.contenders.card_player import names_of
from benchmarks.exported import greedy_moves
from flowdpo_pl.cli import main
from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base_name import base_name
from flowdpo_pl.verbs.ask import ask, loaded
from flowdpo_pl.verbs.export import export
from tests.finished_runs import SOURCE, copied
from tests.runs import MODEL, ROOT
from tests.trace_files import world_traces, write_traces

QUESTIONS = [json.loads(line)["question"] for line in Path(SOURCE).read_text().splitlines()[:3]]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def moved(run: Path) -> Path:
    """The run with adapters that are far from the base and from each other."""
    for number, file in enumerate(sorted(run.glob("**/adapter_model.safetensors"))):
        generator = torch.Generator().manual_seed(number)
        weights = {
            name: weight + 0.05 * torch.randn(weight.shape, generator=generator)
            for name, weight in load_file(file).items()
        }
        save_file(weights, file, {"format": "pt"})
    return run


@pytest.fixture(scope="module")
def strong(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moved(copied(finished_run, tmp_path_factory.mktemp("strong")))


def fit_flow(name: str, folder: Path, *arguments: str) -> Path:
    main(
        [
            "fit",
            f"--config=configs/flows/{name}.yaml",
            f"--trainer.logger.init_args={{save_dir: {folder}, name: {name}}}",
            "--model.max_problems=4",
            "--data.batch_size=4",
            "--data.train.limit=8",
            *arguments,
        ]
    )
    return folder / name


def fit_single(folder: Path) -> Path:
    traces = write_traces(folder / "traces.jsonl", world_traces(16))
    main(
        [
            "fit",
            "--config=configs/quickstart_study/sft.yaml",
            f"--data.train=[{traces}]",
            f"--trainer.logger.init_args={{save_dir: {folder}, name: sft}}",
            "--trainer.max_epochs=1",
        ]
    )
    return folder / "sft"


def require_same_moves(run: Path, output: Path, merged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's code reads and says what our engine does, move by move."""
    module = loaded(run, "last", None, {"temperature": 0.0}, None)
    moves = greedy_moves(module.chains, QUESTIONS)
    module.verifier.close()
    export(run, output, merged=merged)
    monkeypatch.chdir(ROOT)  # it goes into the export's folder
    base = str(
        ROOT
        / yaml.safe_load((output / "flow.yaml").read_text())["model"]["init_args"]["team"]["base"]["path"]
    )
    card = names_of(output, [0, 1], base)
    monkeypatch.chdir(ROOT)
    for move in moves:
        request = json.loads(move.request())
        ids = card["read"](move.agent, request["question"], request["said"], request["own"])
        said = card["choose" if request["chooses"] else "write"](move.agent, ids)
        assert move.is_said({"ids": ids, "said": said}), move


@pytest.mark.parametrize("merged", [False, True])
def test_the_card_s_code_plays_as_the_run(
    merged: bool, strong: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_same_moves(strong, tmp_path / "out", merged, monkeypatch)


@pytest.mark.parametrize("flow", ["critic", "debate", "planner_solver"])
def test_other_flows_are_exported_too(flow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = moved(fit_flow(flow, tmp_path))
    require_same_moves(run, tmp_path / "out", False, monkeypatch)


@pytest.mark.parametrize("merged", [False, True])
def test_an_agent_without_an_adapter_plays_the_base(
    merged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = moved(fit_flow("critic", tmp_path, "--model.team.without_adapter=[critic]"))
    require_same_moves(run, tmp_path / "out", merged, monkeypatch)
    assert not (tmp_path / "out" / "critic").exists()
    assert "| critic | the base |" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("merged", [False, True])
def test_a_fine_tuned_model_is_one_agent(
    merged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = moved(fit_single(tmp_path))
    require_same_moves(run, tmp_path / "out", merged, monkeypatch)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`SingleFlow`" in card and "16 traces with digest" in card and str(tmp_path) not in card


def test_what_is_exported_is_asked_and_tested_as_the_run_is(
    strong: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    export(strong, output)
    capsys.readouterr()

    def said(folder: Path) -> str:
        ask(folder, QUESTIONS[0], json=True)
        return capsys.readouterr().out

    assert said(output) == said(strong)
    data = [f"--data.test.path={SOURCE}", "--data.test.limit=8"]
    main(["test", f"--run={output}", *data])
    main(["test", f"--run={strong}", *data, f"--trainer.logger.init_args.save_dir={tmp_path}"])
    of_run, of_export = (next((tmp_path / at).rglob("predictions.jsonl")) for at in (strong.name, "out"))
    assert of_run.read_bytes() == of_export.read_bytes()
    with pytest.raises(UserError, match=r"keeps no problems .* `test --run"):
        main(["validate", f"--run={output}"])


def test_merged_models_are_not_asked(strong: Path, tmp_path: Path) -> None:
    export(strong, tmp_path / "out", merged=True)
    with pytest.raises(UserError, match="holds merged models"):
        ask(tmp_path / "out", QUESTIONS[0])


@pytest.mark.parametrize("merged", [False, True])
def test_nothing_says_where_this_machine_has_its_files(
    merged: bool, strong: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the run's config has absolute paths."""
    run = copied(strong, tmp_path)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["init_args"]["team"]["base"]["path"] = str(MODEL)
    config["data"]["init_args"]["train"]["path"] = str(ROOT / "quickstart/problems/train.jsonl")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    export(run, tmp_path / "out", merged=merged)
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file() and file.suffix not in (".safetensors", ".png"):
            text = file.read_text()
            assert str(ROOT) not in text and str(tmp_path) not in text and str(Path.home()) not in text, file
    if not merged:
        saved = json.loads((tmp_path / "out" / "answer" / "adapter_config.json").read_text())
        assert saved["base_model_name_or_path"] == "./model"


@pytest.mark.parametrize(
    ("path", "is_folder", "hub_id", "found"),
    [
        ("owner/model", False, None, ("owner/model", True)),
        ("models/mine", True, None, ("./models/mine", False)),
        ("/a/b/mine", True, None, ("./mine", False)),
        ("~/mine", True, None, ("./mine", False)),
        ("../mine", True, None, ("../mine", False)),
        ("models/mine", True, "owner/model", ("owner/model", True)),
        (f"/cache/models--owner--model/snapshots/{'a' * 40}", True, None, ("owner/model", True)),
    ],
)
def test_a_base_is_called_as_others_know_it(
    path: str, is_folder: bool, hub_id: str | None, found: tuple[str, bool]
) -> None:
    name = base_name(path, is_folder, hub_id=hub_id)
    assert (name.path, name.on_hub) == found
    if "snapshots" in path:
        assert name.revision == "a" * 40


def test_the_card_has_what_the_hub_reads_and_what_people_ask(strong: Path, tmp_path: Path) -> None:
    run = copied(strong, tmp_path)
    main(["test", f"--run={run}", f"--data.test.path={SOURCE}", "--data.test.limit=8"])
    export(run, tmp_path / "out", base_id="owner/model")
    card = (tmp_path / "out" / "README.md").read_text()
    _, front, text = card.split("---\n", 2)
    told = yaml.safe_load(front)
    assert told["base_model"] == "owner/model" and told["base_model_relation"] == "adapter"
    assert told["library_name"] == "peft" and "license" not in told and "datasets" not in told
    for part in (
        "## Data",
        "rows with digest",
        "lr: 0.003",
        "## Curve",
        "(accuracy_curve.png)",
        "fingerprint",
    ):
        assert part in text, part
    summary = json.loads((run / "test" / "summary.json").read_text())
    assert f"| 8 | {summary['accuracy']:.1%}" in text
    assert (tmp_path / "out" / "accuracy_curve.png").is_file()
    moved(run)  # other weights: the test was not of these
    last = run / "checkpoints" / "last.ckpt"
    os.truncate(last, last.stat().st_size // 2)  # the one before it knows the rows too
    kept = {"problems_seen": "many", "versions": [1], "identity": 5}
    (run / "summary.json").write_text(json.dumps(kept))
    export(run, tmp_path / "out", overwrite=True)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "## Scores" not in card and "rows with digest" in card


def test_the_data_s_hub_ids_stand_in_front(strong: Path, tmp_path: Path) -> None:
    run = copied(strong, tmp_path)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["init_args"]["train"] = {"path": "owner/problems", "split": "train"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    export(run, tmp_path / "out")
    assert yaml.safe_load((tmp_path / "out/README.md").read_text().split("---\n")[1])["datasets"] == [
        "owner/problems"
    ]


def test_a_folder_is_whole_or_absent_and_no_other_is_replaced(
    strong: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    export(strong, output)  # into an empty one
    before = {file: file.read_bytes() for file in output.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match=r"holds an export already: .*--overwrite"):
        export(strong, output)
    monkeypatch.setattr("flowdpo_pl.verbs.export._write_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(strong, output, overwrite=True)
    assert {file: file.read_bytes() for file in output.rglob("*") if file.is_file()} == before
    with pytest.raises(ZeroDivisionError):
        export(strong, tmp_path / "new")
    assert sorted(place.name for place in tmp_path.iterdir()) == ["out"]
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for here in (Path("."), Path("..")):
        with pytest.raises(UserError, match="is the folder that this command runs in"):
            export(strong, here)
    monkeypatch.chdir(ROOT)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(UserError, match="is there already, and no export"):
            export(strong, tmp_path / "mine", overwrite=overwrite)


def test_what_cannot_be_exported_is_said_first(
    strong: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(run: Path, **options: Any) -> str:
        with pytest.raises(UserError) as caught:
            export(run, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    assert "has no adapters 'bst'" in refusal(strong, which="bst")
    assert "--dry_run is of an upload" in refusal(strong, dry_run=True)
    run = copied(strong, tmp_path)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("quantization: null", "quantization: nf4"))
    assert "learnt beside a base in nf4" in refusal(run, merged=True)
    (run / "config.yaml").write_text(config.replace("quickstart/model", "./gone"))
    (run / "config.yaml").write_text(config.replace("quickstart/model", "gone"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert refusal(run).startswith("--base 'gone' is no file or folder here")
    (run / "config.yaml").write_text(config.replace("quickstart/model", "./gone"))
    assert "./gone, is not there" in refusal(run) and "--base=BASE" in refusal(run)
    shutil.rmtree(run / "adapters")
    assert "has no adapters yet" in refusal(run)


def test_a_run_elsewhere_is_exported_where_its_base_is_named(
    strong: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another machine: where it was started is gone."""
    run = copied(strong, tmp_path)
    mark = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**mark, "directory": "/gone"}))
    shutil.copytree(MODEL, tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    export(run, tmp_path / "moved", base=str(tmp_path / "base"))
    monkeypatch.chdir(ROOT)
    export(strong, tmp_path / "here")
    for name in ("answer/adapter_model.safetensors", "prompts.json", "tokenizer.json"):
        assert (tmp_path / "moved" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
