"""The command line as a user meets it: the shipped quickstart config, and errors of one sentence.

Also tests `__main__`: it picks the verb and prints errors.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from argparse import ArgumentError
from pathlib import Path

import pytest
import torch

from flowdpo_pl.__main__ import main as run_program
from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.command_line.verbs import VERBS
from flowdpo_pl.errors import UserError, one_sentence
from tests.example_trees import main_only, written
from tests.runs import MODEL, ROOT
from tests.tree_files import write_trees

QUICKSTART = ["--config", str(ROOT / "configs" / "quickstart.yaml")]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def short_run(folder: Path, *arguments: str, verb: str = "fit") -> list[str]:
    return [
        verb,
        *QUICKSTART,
        f"--trainer.logger.init_args.save_dir={folder}",
        f"--trainer.default_root_dir={folder}",
        "--data.batch_size=8",
        "--data.validation.limit=16",
        *arguments,
    ]


def test_quickstart_config_fits_validates_and_resumes(tmp_path: Path) -> None:
    main(short_run(tmp_path, "--model.max_problems=16"))
    run = tmp_path / "quickstart"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["problems_seen"] == 16
    checkpoint = run / "checkpoints" / "last.ckpt"
    main(short_run(tmp_path, "--model.max_problems=24", f"--ckpt_path={checkpoint}"))
    assert json.loads((run / "summary.json").read_text())["problems_seen"] == 24
    whole = tmp_path / "whole"
    main(short_run(whole, "--model.max_problems=24"))
    resumed = torch.load(checkpoint, weights_only=True)
    uninterrupted = torch.load(whole / "quickstart" / "checkpoints" / "last.ckpt", weights_only=True)
    for name, value in uninterrupted["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    before = (run / "summary.json").read_text()
    cli = main(short_run(tmp_path, f"--ckpt_path={checkpoint}", verb="validate"))
    assert cli.trainer.callback_metrics["validation/problems"] == 16
    assert json.loads((run / "validate" / "summary.json").read_text())["problems_seen"] == 16
    assert (run / "summary.json").read_text() == before


@pytest.fixture
def unrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse and instantiate, but don't run."""
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    monkeypatch.setattr("flowdpo_pl.cli.require_data_files", lambda *_: None)  # an earlier stage writes them


@pytest.mark.usefixtures("unrun")
def test_a_user_s_word_on_the_trainer_goes_before_the_defaults(tmp_path: Path) -> None:
    assert main(["fit", *QUICKSTART]).trainer.max_epochs == -1
    (tmp_path / "mine.yaml").write_text(
        "trainer: {max_epochs: 2, limit_val_batches: 3, logger: {init_args: {version: mine}}}"
    )
    mine = [*QUICKSTART, f"--config={tmp_path / 'mine.yaml'}"]
    trainer = main(["fit", *mine, "--trainer.log_every_n_steps=7"]).trainer
    assert (trainer.max_epochs, trainer.log_every_n_steps, trainer.limit_val_batches) == (2, 7, 3)
    assert trainer.log_dir == "runs/quickstart/mine"
    unlogged = main(["fit", *QUICKSTART, "--trainer.logger=false"]).trainer
    assert unlogged.logger is None and unlogged.default_root_dir == "runs", "never the working directory"


@pytest.mark.usefixtures("unrun")
def test_the_run_s_folder_is_the_logger_s_and_of_verbs_below_it() -> None:
    logger = ["--trainer.logger.init_args.save_dir=here", "--trainer.logger.init_args.name=run"]
    trainer = main(["validate", *QUICKSTART, *logger]).trainer
    assert (trainer.default_root_dir, trainer.log_dir) == ("here/run", "here/run/validate")
    own = main(["fit", *QUICKSTART, *logger, "--trainer.default_root_dir=elsewhere"]).trainer
    assert (own.default_root_dir, own.log_dir) == ("elsewhere", "here/run/")


@pytest.mark.usefixtures("unrun")
def test_paths_may_name_the_folder_of_the_runs() -> None:
    config = str(ROOT / "configs" / "quickstart_study" / "sft.yaml")
    traces = [
        "--data.train=[a.jsonl, '{save_dir}/x/{save_dir}.jsonl']",
        "--model.team.prompts.answer.user={question}?",
    ]
    cli = main(["fit", "--config", config, "--trainer.logger.init_args.save_dir=here", *traces])
    assert cli.config.fit.data.init_args.train == ["a.jsonl", "here/x/here.jsonl"]
    assert cli.config.fit.model.init_args.team.prompts["answer"].user == "{question}?"


@pytest.mark.usefixtures("unrun")
def test_fit_leaves_validation_to_validate_where_learning_is_online(tmp_path: Path) -> None:
    assert main(["fit", *QUICKSTART]).trainer.limit_val_batches == 0
    assert main(["validate", *QUICKSTART]).trainer.limit_val_batches == 1.0
    saved = "--trainer.limit_val_batches=0"  # as in the config that `fit` writes
    assert main(["validate", *QUICKSTART, saved]).trainer.limit_val_batches == 1.0
    sft = ["--config", str(ROOT / "configs" / "quickstart_study" / "sft.yaml")]
    assert main(["fit", *sft]).trainer.limit_val_batches == 1.0


def test_ranks_need_the_strategy_for_adapters(tmp_path: Path) -> None:
    wrapped = ["--trainer.strategy=ddp", "--trainer.devices=1"]
    assert "flowdpo_pl.AdapterStrategy" in refuses(tmp_path, *wrapped)


def test_processes_of_a_launcher_that_would_each_do_the_whole_run_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    told = refuses(tmp_path)
    assert "torchrun has started 4 processes" in told and "flowdpo_pl.AdapterStrategy" in told


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--trainer.no_such=1"], "no_such"),
        (["--model.no_such=1"], "model: Option 'no_such' is not accepted (flowdpo_pl.FlowDPOModule)"),
        (["--model.learning.lr=fast"], "model.learning.lr"),
        (["--model.team.flow.chunk_tokens=0"], "model.team.flow.chunk_tokens is 0: give at least 1"),
        (["--data.batch_size=0"], "data.batch_size is 0: give at least 1"),
        (["--model.learning.lr=.nan"], "model.learning.lr is nan: give more than 0"),
        (["--model.team.lora.r=0"], "model.team.lora.r is 0: give at least 1"),
        (["--seed_everything=-1"], "seed_everything is -1: give at least 0"),
    ],
)
def test_a_bad_argument_is_named_in_one_sentence(
    arguments: list[str], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises((ArgumentError, ValueError)) as caught:
        main(short_run(tmp_path, *arguments))
    sentence = one_sentence(str(caught.value))
    assert complaint in sentence and "\n" not in sentence


def refuses(folder: Path, *arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        main(short_run(folder, *arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def model_copy(folder: Path) -> Path:
    return Path(shutil.copytree(MODEL, folder / "model"))


def test_missing_data_and_missing_model(tmp_path: Path) -> None:
    assert "nowhere.jsonl" in refuses(tmp_path, "--data.train.path=nowhere.jsonl")
    assert "has no config.json" in refuses(tmp_path, f"--model.team.base.path={tmp_path / 'no' / 'model'}")


def test_a_model_without_chat_template(tmp_path: Path) -> None:
    folder = model_copy(tmp_path)
    (folder / "chat_template.jinja").unlink()
    assert "has no chat template" in refuses(tmp_path, f"--model.team.base.path={folder}")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["Yes", "Not yet"], "'Not yet' of agent 'stop' is 2 tokens"),
        (["Yes", "Yes"], "are the same token"),
    ],
)
def test_words_to_choose_must_be_two_single_tokens(words: list[str], complaint: str, tmp_path: Path) -> None:
    stop = {"user": "{question} {partial}", "options": words}
    prompts = json.dumps({"answer": {"user": "{question}"}, "stop": stop})
    assert complaint in refuses(tmp_path, f"--model.team.prompts={prompts}")


def test_chunks_must_fit_the_context(tmp_path: Path) -> None:
    message = refuses(tmp_path, "--model.team.flow.init_args.chunk_tokens=100")
    assert "context is 512" in message and "fewer or shorter chunks" in message


def test_a_missing_a_truncated_and_a_foreign_checkpoint(tmp_path: Path) -> None:
    main(short_run(tmp_path, "--model.max_problems=8"))
    whole = tmp_path / "quickstart" / "checkpoints" / "last.ckpt"
    assert "does not exist" in refuses(tmp_path / "a", f"--ckpt_path={tmp_path / 'none.ckpt'}")
    half = tmp_path / "half.ckpt"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "truncated" in refuses(tmp_path / "b", f"--ckpt_path={half}")
    other = model_copy(tmp_path)
    _change_weights(other)
    assert "made otherwise: base was" in refuses(
        tmp_path / "c", f"--ckpt_path={whole}", f"--model.team.base.path={other}"
    )


def _change_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] += 0.1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_the_program_prints_errors_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flowdpo_pl", "convert", "no.gguf", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("flowdpo_pl: no.gguf does not exist")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("verb", "by_position"),
    [(verb.name, verb.by_position) for verb in VERBS.values() if not verb.takes_a_run],
)
def test_the_other_verbs_tell_what_they_take(
    verb: str, by_position: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", verb, "--help"])
    with pytest.raises(SystemExit) as ended:
        run_program()
    told = capsys.readouterr().out
    assert ended.value.code == 0 and told.startswith(f"usage: flowdpo_pl {verb} ")
    assert ("positional arguments:" in told) == by_position


def test_the_program_says_which_argument_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", "export", "--bse=models/smollm2"])
    with pytest.raises(SystemExit, match=r"^flowdpo_pl: .*bse"):
        run_program()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_what_the_terminal_s_encoding_lacks_is_printed_as_its_escape(encoding: str, tmp_path: Path) -> None:
    write_trees(tmp_path, [main_only(True, written("4 \u2713 ü"))])
    command = [sys.executable, "-m", "flowdpo_pl", "show", str(tmp_path), "1"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    shown = "4 \\u2713 ü" if encoding == "latin-1" else "4 \\u2713 \\xfc"
    assert shown in done.stdout.decode(encoding)
    missing = [*command[:-2], str(tmp_path / "\u6570"), "1"]
    done = subprocess.run(missing, capture_output=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 1 and b"\\u6570 does not exist" in done.stderr


def test_a_foreign_folder_named_callbacks_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "__init__.py").touch()
    command = [sys.executable, "-m", "flowdpo_pl", "fit", "--help"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert "hides the package 'callbacks'" in done.stderr
