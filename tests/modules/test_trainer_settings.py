"""Every argument of Lightning's trainer is served, or refused in one sentence before a model loads."""

from __future__ import annotations

import inspect
import re
from argparse import ArgumentError
from pathlib import Path

import pytest
import yaml
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy

from flowdpo_pl import AdapterStrategy, cli
from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.trainer_settings import RULES, UNFIT, require_served
from flowdpo_pl.play.team import Team
from tests.runs import ROOT
from tests.trace_files import world_traces, write_traces

CONFIGS = {
    "flow": ("fit", "quickstart.yaml"),
    "sft": ("fit", "quickstart_study/sft.yaml"),
    "validate": ("validate", "quickstart.yaml"),
    "test": ("test", "quickstart_study/evaluate.yaml"),
    "predict": ("predict", "quickstart_study/collect.yaml"),
}


@pytest.fixture(autouse=True)
def at_the_root_without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Team, "load", loaded)
    monkeypatch.setattr(Team, "load_writer", loaded)


def command(kind: str, folder: Path, *arguments: str) -> list[str]:
    verb, config = CONFIGS[kind]
    place = f"--trainer.logger.init_args.save_dir={folder}"
    return [verb, f"--config={ROOT / 'configs' / config}", place, *arguments]


@pytest.fixture
def unrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse and instantiate, but don't run."""
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)


PLAIN = [
    ("flow", "precision=bf16-mixed", "model.team.base.dtype"),
    ("flow", "precision=64", "model.team.base.dtype"),
    ("sft", "precision=16-mixed", "model.team.base.dtype"),
    ("test", "precision=16-true", "model.team.base.dtype"),
    ("flow", "accelerator=tpu", "accelerator is tpu"),
    ("flow", "accumulate_grad_batches=2", "model.pairs_per_update"),
    ("sft", "accumulate_grad_batches=2", "model.accumulation"),
    ("flow", "gradient_clip_val=0", "model.learning.max_grad_norm"),
    ("sft", "gradient_clip_algorithm=value", "model.learning.max_grad_norm"),
    ("flow", "limit_train_batches=0.5", "whole number of batches"),
    ("flow", "limit_val_batches=0.5", "whole number of batches"),
    ("validate", "limit_val_batches=0.5", "whole number of batches"),
    ("test", "limit_test_batches=0.5", "whole number of batches"),
    ("predict", "limit_predict_batches=0.5", "whole number of batches"),
    ("flow", "limit_train_batches=0", "would do nothing"),
    ("sft", "limit_train_batches=0.0", "would do nothing"),
    ("test", "limit_test_batches=0", "would do nothing"),
    ("predict", "limit_predict_batches=0", "would do nothing"),
    ("flow", "overfit_batches=1", "data.train.limit"),
    ("sft", "overfit_batches=0.5", "data.limit"),
    ("flow", "val_check_interval=0.5", "whole number of batches"),
    ("sft", "val_check_interval=0", "at least 1 batch"),
    ("sft", "check_val_every_n_epoch=0", "at least 1, or null"),
    ("flow", "num_sanity_val_steps=-2", "-1 for all"),
    ("flow", "log_every_n_steps=-1", "log_every_n_steps is -1"),
    ("flow", "min_steps=1000", "model.max_problems"),
    ("flow", "min_epochs=2", "model.max_problems"),
    ("sft", "min_steps=-2", "at least 0"),
    ("sft", "min_epochs=-2", "at least 0"),
    ("flow", "enable_checkpointing=false", "trainer.callbacks"),
    ("flow", "enable_progress_bar=false", "trainer.callbacks"),
    ("flow", "barebones=true", "barebones is true"),
    ("flow", "sync_batchnorm=true", "batch norm"),
    ("flow", "model_registry=somewhere", "run's folder"),
    ("validate", "precision=64", "model.team.base.dtype"),
    ("predict", "precision=bf16-true", "model.team.base.dtype"),
]
"""Plain values, with words of the sentence."""
PARSED = [
    ("flow", "strategy=fsdp", "flowdpo_pl.AdapterStrategy"),
    ("flow", "strategy=DDPStrategy", "flowdpo_pl.AdapterStrategy"),
    ("flow", "strategy=ddp", "flowdpo_pl.AdapterStrategy"),
    ("flow", "strategy=lightning.pytorch.strategies.FSDPStrategy", "flowdpo_pl.AdapterStrategy"),
    ("sft", "strategy=ddp", "flowdpo_pl.AdapterStrategy"),
    ("test", "strategy=ddp_spawn", "flowdpo_pl.AdapterStrategy"),
    ("flow", "devices=2", "flowdpo_pl.AdapterStrategy"),
    ("flow", "num_nodes=2", "flowdpo_pl.AdapterStrategy"),
    ("flow", "devices=0", "devices='0'"),
    ("flow", "devices=two", "`devices`"),
    ("flow", "accelerator=none_such", "accelerator='none_such'"),
    ("flow", "limit_train_batches=-1", "limit_train_batches"),
    ("flow", "plugins=TorchSyncBatchNorm", "plugins is "),
    ("flow", "plugins=AsyncCheckpointIO", "plugins is "),
    ("flow", "profiler=foo", "profiler"),
    ("flow", "max_time=5", "DD:HH:MM:SS"),
    ("flow", "max_epochs=-2", "max_epochs"),
    ("flow", "reload_dataloaders_every_n_epochs=-1", "reload_dataloaders_every_n_epochs"),
    ("flow", "callbacks+=callbacks.AdapterCheckpoint", "AdapterCheckpoint 2 times"),
    ("flow", "callbacks+=callbacks.RunSummary", "RunSummary 2 times"),
    ("flow", "callbacks+=ModelCheckpoint", "AdapterCheckpoint and ModelCheckpoint"),
    ("sft", "callbacks+=ModelCheckpoint", "SFTCheckpoint and ModelCheckpoint"),
    ("flow", "callbacks+=RichProgressBar", "FlowProgressBar and RichProgressBar"),
    ("test", "callbacks+=callbacks.PredictionLog", "PredictionLog 2 times"),
    ("flow", "callbacks+=BatchSizeFinder", "data.batch_size"),
    ("flow", "callbacks+=WeightAveraging", "take it out"),
    ("flow", "callbacks+=SpikeDetection", "take it out"),
]
"""Classes, and what Lightning refuses itself."""


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Namespace]:
    """Each parsed once."""
    parsed: dict[str, Namespace] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
        patch.setattr(cli, "require_data_files", lambda *_: None)  # a study makes them
        for kind, (verb, _) in CONFIGS.items():
            parsed[kind] = main(command(kind, tmp_path_factory.mktemp(kind))).config[verb]
    return parsed


@pytest.mark.parametrize(("kind", "setting", "told"), PLAIN, ids=str)
def test_a_value_that_a_run_would_not_follow_is_refused(
    kind: str, setting: str, told: str, configs: dict[str, Namespace]
) -> None:
    config = configs[kind].clone()
    require_served(CONFIGS[kind][0], config)
    key, _, value = setting.partition("=")
    config.trainer[key] = yaml.safe_load(value)
    with pytest.raises(UserError, match=rf"^trainer\.{key} is ") as caught:
        require_served(CONFIGS[kind][0], config)
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "setting", "told"), PARSED, ids=str)
def test_what_a_run_would_not_do_is_refused_before_a_model_loads(
    kind: str, setting: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        main(command(kind, tmp_path, f"--trainer.{setting}"))
    assert told in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir()), "nothing is written by then"


def test_every_rule_refuses_something_here() -> None:
    tried = {setting.partition("=")[0].rstrip("+") for _, setting, _ in (*PLAIN, *PARSED)}
    assert {rule.key for rule in RULES} <= tried


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("flow", "precision=32-true"),
        ("flow", "limit_train_batches=2"),
        ("flow", "limit_train_batches=1.0"),
        ("sft", "limit_train_batches=0.5"),
        ("flow", "limit_test_batches=0.5"),  # of another verb
        ("validate", "limit_val_batches=5"),
        ("validate", "strategy=ddp"),
        ("flow", "val_check_interval=2"),
        ("flow", "val_check_interval='00:00:10:00'"),
        ("sft", "val_check_interval=0.5"),
        ("sft", "min_epochs=1"),
        ("sft", "limit_val_batches=0"),
        ("flow", "log_every_n_steps=0"),
        ("flow", "check_val_every_n_epoch=null"),
        ("flow", "logger=false"),
        ("flow", "callbacks=null"),
    ],
)
def test_what_means_something_is_taken(kind: str, setting: str, configs: dict[str, Namespace]) -> None:
    config = configs[kind].clone()
    key, _, value = setting.partition("=")
    config.trainer[key] = yaml.safe_load(value)
    require_served(CONFIGS[kind][0], config)


@pytest.mark.usefixtures("unrun")
def test_what_only_watches_is_taken_by_name(tmp_path: Path) -> None:
    named = ["profiler=simple", "deterministic=warn", "max_time=00:00:10:00", "plugins=LightningEnvironment"]
    named += ["logger=CSVLogger", "callbacks+=LearningRateMonitor"]
    trainer = main(command("flow", tmp_path, *(f"--trainer.{one}" for one in named))).trainer
    assert trainer.log_dir == str(tmp_path / "quickstart") + "/"
    names = {type(callback).__name__ for callback in trainer.callbacks}  # type: ignore[attr-defined]
    assert {"LearningRateMonitor", "TreeLog", "Timer"} < names


@pytest.mark.usefixtures("unrun")
@pytest.mark.parametrize(
    "named", ["AdapterStrategy", "flowdpo_pl.AdapterStrategy", "{class_path: flowdpo_pl.AdapterStrategy}"]
)
def test_the_strategy_for_adapters_is_known_by_its_name(named: str, tmp_path: Path) -> None:
    devices = ["--trainer.devices=2", f"--trainer.strategy={named}"]
    trainer = main(command("flow", tmp_path, *devices)).trainer
    assert isinstance(trainer.strategy, AdapterStrategy) and trainer.num_devices == 2


@pytest.mark.usefixtures("unrun")
def test_verbs_that_do_not_learn_take_lightning_s_processes(tmp_path: Path) -> None:
    trainer = main(command("test", tmp_path, "--trainer.devices=2")).trainer
    assert type(trainer.strategy) is DDPStrategy


@pytest.mark.parametrize(("kind", "other"), [("flow", "Trace"), ("test", "Trace"), ("sft", "Prompt")])
def test_data_for_another_module_are_refused(kind: str, other: str, tmp_path: Path) -> None:
    traces = write_traces(tmp_path / "traces.jsonl", world_traces(2))
    train = f"[{traces}]" if other == "Trace" else "{path: problems.jsonl}"
    data = [f"--data=flowdpo_pl.{other}DataModule", f"--data.train={train}"]
    with pytest.raises(UserError, match=r"set it to flowdpo_pl\.\w+DataModule\.$"):
        main(command(kind, tmp_path, *data))


@pytest.mark.parametrize("key", ["default_root_dir", "logger.init_args.save_dir"])
def test_a_folder_that_cannot_be_written_to_is_named(key: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match=rf"trainer\.{re.escape(key)} is .*file.*Not a directory"):
        main(command("flow", tmp_path, f"--trainer.{key}={file / 'below'}"))


@pytest.mark.parametrize("seed", ["true", "null", "0.5"])
def test_a_seed_is_a_number(seed: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="seed_everything"):
        main(command("flow", tmp_path, f"--seed_everything={seed}"))


def rows() -> dict[str, str]:
    """The table of docs/trainer.md."""
    page = (ROOT / "docs" / "trainer.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))


def test_the_page_has_a_row_for_each_argument_of_the_trainer() -> None:
    arguments = list(inspect.signature(Trainer.__init__).parameters)[1:]
    assert list(rows()) == arguments, "a new one: try it, then serve or refuse it"
    always = {key for key, told in rows().items() if told.startswith("refused")}
    assert always <= {rule.key for rule in RULES} <= set(arguments)


def test_unfit_callbacks_say_what_to_do() -> None:
    assert all(instead and not instead.endswith(".") for instead in UNFIT.values())
