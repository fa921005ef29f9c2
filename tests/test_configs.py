"""Every shipped config is one: it parses, says what it claims, and runs from learning to evaluation.

A stage of `configs/paper` stands before a model's own settings.

The runs have the config's own settings, but for the base (a tiny random model of its architecture), local
data, and shorter answers. A coin judges, because random weights are never right.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.verifier import Verifier
from tests.conftest import CoinJudge
from tests.models import write_model
from tests.problem_files import write_jsonl
from tests.runs import ROOT
from tests.test_study_configs import FLOWS, GRIDS, STUDIES

CONFIGS = ROOT / "configs"
FAMILY = {"llama3_8b": "llama", "phi3_medium": "phi3", "qwen3_1b7": "qwen3"}
RUNS = [*FAMILY.items(), ("qwen3_1b7", "gemma3_text"), ("qwen3_1b7", "smollm2")]
"""Configs, and the architectures of the bases that they run with here."""
PAPER = ("llama3_8b", "phi3_medium")
VERB = {"flow_dpo": "fit", "collect": "predict", "sft": "fit", "evaluate": "test"}
OVERLAYS = {"math": "evaluate", "several_gpus": "flow_dpo"}
"""Configs that are added behind others."""
SHORTER = {"flow_dpo": "flow", "collect": "flow", "evaluate": "single"}
"""What stands behind the settings of Qwen3, by stage: its answers are shorter than the paper's."""

TABLE_2 = {
    "team.flow.init_args.chunk_tokens": 160,
    "team.flow.init_args.max_chunks": 6,
    "team.lora.r": 8,
    "team.lora.alpha": 8,
    "team.lora.dropout": 0.05,
    "team.lora.target_modules": "all-linear",
    "learning.lr": 5e-6,
    "learning.max_grad_norm": 1.0,
    "learning.loss.class_path": "flowdpo_pl.SigmoidLoss",
    "learning.loss.init_args.beta": 1.0,
    "pairs_per_update": None,
    "team.start.reference": "base",
}
TABLE_3 = {
    "team.lora.r": 16,
    "team.lora.alpha": 16,
    "team.lora.dropout": 0.05,
    "team.lora.target_modules": "all-linear",
    "learning.lr": 2e-4,
    "learning.warmup_ratio": 0.1,
    "accumulation": 2,
}


class CoinVerifier(Verifier):
    """Tosses a coin for each text."""

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        return CoinJudge().submit(prediction, problem)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., FlowCLI]:
    """Parse and instantiate without running."""
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    monkeypatch.setattr("flowdpo_pl.cli.require_data_files", lambda *_: None)  # an earlier stage writes them
    monkeypatch.chdir(tmp_path)

    def parse(verb: str, *configs: Path) -> FlowCLI:
        adapters = (
            ["--model.team.start.adapters={}"] if verb in ("test", "predict") else []
        )  # nothing is trained yet
        return main([verb, *(f"--config={config}" for config in configs), *adapters])

    return parse


def arguments(cli: FlowCLI) -> Any:
    return cli.config[cli.config.subcommand]


def configs_of(name: str, stage: str) -> list[Path]:
    """The configs of a model's stage, in the order of the command line."""
    shorter = [SHORTER[stage]] if name == "qwen3_1b7" and stage in SHORTER else []
    own = [CONFIGS / name / f"{file}.yaml" for file in ("model", *shorter)]
    return [CONFIGS / "paper" / f"{stage}.yaml", *own]


def whole_configs() -> list[tuple[str, list[Path]]]:
    """Verb and configs of each run that ships."""
    alone = [("fit", [CONFIGS / "quickstart.yaml"])]
    for name in FLOWS:
        alone += [
            ("fit", [CONFIGS / "flows" / f"{name}.yaml"]),
            ("test", [CONFIGS / "flows" / f"{name}.yaml", CONFIGS / "flows" / "evaluate.yaml"]),
        ]
    below = CONFIGS / "quickstart.yaml"
    alone += [("fit", [below, path]) for path in sorted((CONFIGS / "objectives").iterdir())]
    for folder in ("quickstart_study", "smollm2"):
        alone += [(VERB[p.stem], [p]) for p in sorted((CONFIGS / folder).iterdir()) if p.stem in VERB]
    return [*alone, *((VERB[stage], configs_of(name, stage)) for name in FAMILY for stage in VERB)]


def test_every_config_is_part_of_a_tested_run() -> None:
    files = {path for _, configs in whole_configs() for path in configs}
    files |= {CONFIGS / f"{overlay}.yaml" for overlay in OVERLAYS}
    for study in STUDIES:
        read = yaml.safe_load((ROOT / study).read_text())
        named = (stage.get("config", []) for stage in read["stages"].values())
        paths = [path for one in named for path in ([one] if isinstance(one, str) else one)]
        files |= {ROOT / study, *(ROOT / path.format_map(read.get("values", {})) for path in paths)}
    files |= {ROOT / cells for cells in GRIDS}
    assert files == set(CONFIGS.rglob("*.yaml"))


@pytest.mark.parametrize(
    ("verb", "configs"),
    whole_configs(),
    ids=lambda value: value if isinstance(value, str) else str(value[-1].relative_to(CONFIGS)),
)
def test_every_config_is_instantiated_and_names_its_folder(
    verb: str, configs: list[Path], parsed: Callable[..., FlowCLI]
) -> None:
    cli = parsed(verb, *configs)
    assert cli.model is not None and cli.datamodule is not None
    trainer = arguments(cli).trainer
    logger = trainer.logger.init_args
    assert trainer.default_root_dir == f"{logger.save_dir}/{logger.name}"
    family = configs[-1].parent.name
    assert logger.save_dir == (f"runs/{family}" if family in FAMILY else "runs")
    assert logger.version == ("" if verb == "fit" else verb)


@pytest.mark.parametrize(
    ("verb", "configs"),
    whole_configs(),
    ids=lambda value: value if isinstance(value, str) else str(value[-1].relative_to(CONFIGS)),
)
def test_what_print_config_prints_loads_to_the_same(
    verb: str,
    configs: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = [f"--config={config}" for config in configs]
    printed = []
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main([verb, *named, "--print_config"])
        assert ended.value.code in (0, None)
        printed.append(capsys.readouterr().out)
        (tmp_path / "printed.yaml").write_text(printed[-1], encoding="utf-8")
        named = [f"--config={tmp_path / 'printed.yaml'}"]
    assert printed[0] == printed[1]


@pytest.mark.parametrize(
    "file", [*CONFIGS.rglob("*.yaml"), ROOT / "Makefile", *ROOT.glob("benchmarks/**/*.py")]
)
def test_nothing_that_ships_points_outside_the_repository(file: Path) -> None:
    assert "../" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_fit_behind_their_configs(overlay: str, name: str, parsed: Callable[..., FlowCLI]) -> None:
    below = OVERLAYS[overlay]
    alone = arguments(parsed(VERB[below], *configs_of(name, below))).as_dict()
    both = parsed(VERB[below], *configs_of(name, below), CONFIGS / f"{overlay}.yaml")
    added = yaml.safe_load((CONFIGS / f"{overlay}.yaml").read_text())
    together = arguments(both).as_dict()
    assert together["model"] == alone["model"]
    assert together["trainer"]["callbacks"] == alone["trainer"]["callbacks"]
    if overlay == "math":
        test = together["data"]["init_args"]["test"]
        assert {key: test[key] for key in added["data"]["init_args"]["test"] if key != "gold"} == {
            key: value for key, value in added["data"]["init_args"]["test"].items() if key != "gold"
        }
        assert test["gold"]["class_path"] == "flowdpo_pl.Boxed"
        assert together["trainer"]["logger"]["init_args"]["name"] == "sft"
        assert together["trainer"]["logger"]["init_args"]["version"] == "math/test"
    else:
        assert both.trainer.strategy.__class__.__name__ == "AdapterStrategy"


def told(config: Path) -> list[str]:
    """The comment at the head of a config, the lines of one purpose together."""
    head = [line[1:] for line in config.read_text().splitlines() if line.startswith("#")]
    return "".join((" " if line.startswith("   ") else "\n ") + line.strip() for line in head).splitlines()


def told_overrides(config: Path) -> list[list[str]]:
    """The arguments that the head of a config offers."""
    return [
        shlex.split(text[text.index("--") :])
        for text in told(config)
        if "--" in text and "python -m" not in text
    ]


def told_command(config: Path) -> list[str]:
    """The whole command that the head of a config gives, from the verb on."""
    (text,) = (text for text in told(config) if "python -m" in text)
    return shlex.split(text.partition("python -m flowdpo_pl ")[2])


@pytest.mark.parametrize("config", [*(f"paper/{stage}" for stage in VERB), *OVERLAYS])
def test_the_command_that_a_config_tells_of_is_taken(
    config: str, parsed: Callable[..., FlowCLI], tmp_path: Path
) -> None:
    pretend_learnt(tmp_path, "llama3_8b")
    command = told_command(CONFIGS / f"{config}.yaml")
    assert f"configs/{config}.yaml" in command
    main(command)


def pretend_learnt(folder: Path, name: str) -> None:
    """What earlier stages would have left below `folder`, and a way to the configs."""
    for adapter in ("flow_dpo/adapters/last/answer", "flow_dpo/adapters/last/stop", "sft/adapter"):
        place = folder / "runs" / name / adapter
        place.mkdir(parents=True)
        saved = {"r": 8, "lora_alpha": 8, "lora_dropout": 0.05, "target_modules": ["q_proj"]}
        saved["peft_type"] = "LORA"
        (place / "adapter_config.json").write_text(json.dumps(saved))
    (folder / "configs").symlink_to(CONFIGS)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("stage", VERB)
def test_the_overrides_that_a_config_tells_of_are_taken(
    stage: str, name: str, parsed: Callable[..., FlowCLI], tmp_path: Path
) -> None:
    configs = configs_of(name, stage)
    overrides = told_overrides(configs[0])
    assert ["--model.team.base.quantization=nf4"] in [arguments[:1] for arguments in overrides]
    pretend_learnt(tmp_path, name)
    for changes in overrides:
        main([VERB[stage], *(f"--config={config}" for config in configs), *changes])


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_numbers(name: str, parsed: Callable[..., FlowCLI]) -> None:
    flow_dpo = arguments(parsed("fit", *configs_of(name, "flow_dpo")))
    assert {key: flow_dpo.model.init_args[key] for key in TABLE_2} == TABLE_2
    assert flow_dpo.data.init_args.batch_size == 32
    assert flow_dpo.data.init_args.train.path == "meta-math/MetaMathQA"
    assert flow_dpo.data.init_args.train.seed_question_field == "original_question"
    assert flow_dpo.data.init_args.train.grouping.class_path == "flowdpo_pl.OneRewritePerSeed"
    sft = arguments(parsed("fit", *configs_of(name, "sft")))
    assert {key: sft.model.init_args[key] for key in TABLE_3} == TABLE_3
    assert sft.data.init_args.batch_size * sft.model.init_args.accumulation == 16
    assert sft.trainer.max_epochs == 3
    assert sft.data.init_args.limit == 1500
    module = parsed("fit", *configs_of(name, "flow_dpo")).model
    module.agents = torch.nn.Module()
    module.agents.parameters_of = lambda agent: [torch.nn.Parameter(torch.zeros(1))]
    assert type(module.configure_optimizers()) is torch.optim.Adam


@pytest.mark.parametrize("name", FAMILY)
def test_the_stages_of_a_model_agree(name: str, parsed: Callable[..., FlowCLI]) -> None:
    stages = {stage: arguments(parsed(VERB[stage], *configs_of(name, stage))).as_dict() for stage in VERB}
    flow_dpo, collect, sft, evaluate = (stage["model"]["init_args"]["team"] for stage in stages.values())
    assert flow_dpo["base"] == collect["base"] == sft["base"] == evaluate["base"]
    assert flow_dpo["prompts"] == collect["prompts"] == sft["prompts"] == evaluate["prompts"]
    assert flow_dpo["flow"] == collect["flow"]
    chunks = flow_dpo["flow"]["init_args"]
    assert evaluate["flow"]["init_args"]["max_tokens"] == chunks["chunk_tokens"] * chunks["max_chunks"]
    learnt = stages["flow_dpo"]["data"]["init_args"]["train"]["part"]
    collected = stages["collect"]["data"]["init_args"]["predict"]["part"]
    assert learnt[1] <= collected[0], "traces are collected on problems that the flow has not learnt from"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a random model of an architecture."""
    written: dict[str, Path] = {}

    def folder(architecture: str) -> Path:
        if architecture not in written:
            shape: dict[str, Any] = {
                "hidden_size": 64,
                "intermediate_size": 128,
            }  # whole blocks of 64 weights
            place = tmp_path_factory.mktemp(architecture)
            if architecture == "smollm2":
                write_model(place, "llama", tie_word_embeddings=True, **shape)
            else:
                write_model(place, architecture, **shape)
            written[architecture] = place
        return written[architecture]

    return folder


@pytest.fixture
def metamath(tmp_path: Path) -> str:
    rows = [
        {
            "query": f"the problem {n} plus {m}",
            "response": f"The answer is: {n + m}",
            "original_question": f"{n} {m}",
        }
        for n in range(10)
        for m in range(12)
    ]
    return write_jsonl(tmp_path / "metamath.jsonl", rows)


@pytest.fixture
def gsm8k(tmp_path: Path) -> str:
    return write_jsonl(
        tmp_path / "gsm8k.jsonl",
        [{"question": f"is it {n} plus 40 ?", "answer": f"#### {n + 40}"} for n in range(8)],
    )


@pytest.mark.parametrize(
    ("name", "architecture", "quantization"),
    [
        *((*run, ()) for run in RUNS),
        (*next(iter(FAMILY.items())), ("--model.team.base.quantization=nf4",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "4-bit" if value else "16-bit",
)
@pytest.mark.long
def test_the_stages_of_a_model_run_one_after_another(
    name: str,
    architecture: str,
    quantization: tuple[str, ...],
    bases: Callable[[str], Path],
    metamath: str,
    gsm8k: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Flow-DPO and SFT two steps each; every stage finds what the one before it wrote."""
    monkeypatch.chdir(tmp_path)
    coin = "--model.verifier=tests.test_configs.CoinVerifier"
    short = ["--model.team.flow.chunk_tokens=5", "--model.team.flow.max_chunks=3"]

    def run(stage: str, *changes: str) -> FlowCLI:
        configs = [f"--config={config}" for config in configs_of(name, stage)]
        base = f"--model.team.base.path={bases(architecture)}"
        return main([VERB[stage], *configs, "--trainer.accelerator=cpu", base, *quantization, *changes])

    small = ["--data.batch_size=8", "--data.chunk_size=16"]
    local = [
        f"--data.train.path={metamath}",
        f"--data.validation.path={gsm8k}",
        "--data.validation.name=null",
    ]
    run("flow_dpo", coin, *short, *small, *local, "--model.max_problems=16")
    runs = tmp_path / "runs" / name
    learnt = json.loads((runs / "flow_dpo" / "summary.json").read_text())
    assert all(learnt["pairs"].values()), "both agents have learnt something"

    run("collect", coin, *short, f"--data.predict.path={metamath}", "--data.predict.limit=40")
    traces = (runs / "flow_dpo" / "predict" / "traces.jsonl").read_text().splitlines()
    assert len(traces) == 40 and any(json.loads(line)["correct"] for line in traces)

    cli = run("sft", "--trainer.max_epochs=2", "--data.limit=16")
    assert cli.trainer.global_step == 2
    assert (runs / "sft" / "adapter" / "adapter_model.safetensors").is_file()

    run(
        "evaluate",
        coin,
        "--model.team.flow.max_tokens=15",
        f"--data.test.path={gsm8k}",
        "--data.test.name=null",
    )
    predictions = (runs / "sft" / "test" / "predictions.jsonl").read_text()
    assert len(predictions.splitlines()) == 8
