"""Every shipped config is one: it parses, says what it claims, and runs from learning to evaluation.

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
from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.verifier import MathVerifier
from tests.conftest import CoinJudge
from tests.models import write_model
from tests.prompt_files import write_jsonl
from tests.runs import ROOT

CONFIGS = ROOT / "configs"
FAMILY = {"llama3_8b": "llama", "phi3_medium": "phi3", "qwen3_1b7": "qwen3"}
RUNS = [*FAMILY.items(), ("qwen3_1b7", "gemma3_text"), ("qwen3_1b7", "smollm2")]
"""Configs, and the architectures of the bases that they run with here."""
PAPER = ("llama3_8b", "phi3_medium")
VERB = {"flow_dpo": "fit", "collect": "predict", "sft": "fit", "evaluate": "test"}
OVERLAYS = {"math": "evaluate", "several_gpus": "flow_dpo"}
"""Configs that are added behind another one."""

TABLE_2 = {
    "flow.init_args.chunk_tokens": 160,
    "flow.init_args.max_chunks": 6,
    "lora.r": 8,
    "lora.alpha": 8,
    "lora.dropout": 0.05,
    "lora.target_modules": "all-linear",
    "learning.lr": 5e-6,
    "learning.max_grad_norm": 1.0,
    "learning.loss.class_path": "flowdpo_pl.SigmoidLoss",
    "learning.loss.init_args.beta": 1.0,
    "pairs_per_update": None,
    "reference": "base",
}
TABLE_3 = {
    "lora.r": 16,
    "lora.alpha": 16,
    "lora.dropout": 0.05,
    "lora.target_modules": "all-linear",
    "learning.lr": 2e-4,
    "learning.warmup_ratio": 0.1,
    "accumulation": 2,
}


class CoinVerifier(MathVerifier):
    """Tosses a coin for each text."""

    def submit(self, prediction: object, gold: object) -> Future[Verdict]:
        return CoinJudge().submit(str(prediction), str(gold))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., FlowCLI]:
    """Parse and instantiate without running."""
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    monkeypatch.chdir(tmp_path)

    def parse(verb: str, *configs: Path) -> FlowCLI:
        adapters = ["--model.adapters=null"] if verb in ("test", "predict") else []  # nothing is trained yet
        return main([verb, *(f"--config={config}" for config in configs), *adapters])

    return parse


def arguments(cli: FlowCLI) -> Any:
    return cli.config[cli.config.subcommand]


def whole_configs() -> list[Path]:
    """Those of the trainer's verbs; `test_study_configs` reads the others."""
    return [CONFIGS / "quickstart.yaml", *sorted(p for p in CONFIGS.rglob("*.yaml") if p.stem in VERB)]


@pytest.mark.parametrize("config", whole_configs(), ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_config_is_instantiated_and_names_its_folder(
    config: Path, parsed: Callable[..., FlowCLI]
) -> None:
    cli = parsed(VERB.get(config.stem, "fit"), config)
    assert cli.model is not None and cli.datamodule is not None
    trainer = arguments(cli).trainer
    assert trainer.default_root_dir in (None, f"runs/{trainer.logger.init_args.name}")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_fit_behind_their_configs(overlay: str, name: str, parsed: Callable[..., FlowCLI]) -> None:
    below = OVERLAYS[overlay]
    alone = arguments(parsed(VERB[below], CONFIGS / name / f"{below}.yaml")).as_dict()
    both = parsed(VERB[below], CONFIGS / name / f"{below}.yaml", CONFIGS / f"{overlay}.yaml")
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
        assert together["trainer"]["logger"]["init_args"]["name"] == f"{name}-sft"
    else:
        assert both.trainer.strategy.__class__.__name__ == "AdapterStrategy"


def told_overrides(config: Path) -> list[list[str]]:
    """The arguments that the comment at the head of a config offers, those of one purpose together."""
    head = [line[1:] for line in config.read_text().splitlines() if line.startswith("#")]
    purposes = " ".join(("" if line.startswith("   ") else "\n") + line for line in head).splitlines()
    return [shlex.split(text[text.index("--") :]) for text in purposes if "--" in text]


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("stage", VERB)
def test_the_overrides_that_a_config_tells_of_are_taken(
    stage: str, name: str, parsed: Callable[..., FlowCLI], tmp_path: Path
) -> None:
    config = CONFIGS / name / f"{stage}.yaml"
    told = told_overrides(config)
    assert ["--model.base.quantization=nf4"] in [arguments[:1] for arguments in told]
    for adapter in (f"{name}/adapters/last/answer", f"{name}/adapters/last/stop", f"{name}-sft/adapter"):
        (tmp_path / "runs" / adapter).mkdir(parents=True)
        saved = {"r": 8, "lora_alpha": 8, "lora_dropout": 0.05, "target_modules": ["q_proj"]}
        (tmp_path / "runs" / adapter / "adapter_config.json").write_text(json.dumps(saved))
    (tmp_path / "configs").symlink_to(CONFIGS)
    for changes in told:
        main([VERB[stage], f"--config={config}", *changes])


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_numbers(name: str, parsed: Callable[..., FlowCLI]) -> None:
    flow_dpo = arguments(parsed("fit", CONFIGS / name / "flow_dpo.yaml"))
    assert {key: flow_dpo.model.init_args[key] for key in TABLE_2} == TABLE_2
    assert flow_dpo.data.init_args.batch_size == 32
    assert flow_dpo.data.init_args.train.path == "meta-math/MetaMathQA"
    assert flow_dpo.data.init_args.train.seed_question_field == "original_question"
    assert flow_dpo.data.init_args.train.grouping.class_path == "flowdpo_pl.OneRewritePerSeed"
    sft = arguments(parsed("fit", CONFIGS / name / "sft.yaml"))
    assert {key: sft.model.init_args[key] for key in TABLE_3} == TABLE_3
    assert sft.data.init_args.batch_size * sft.model.init_args.accumulation == 16
    assert sft.trainer.max_epochs == 3
    assert sft.data.init_args.limit == 1500
    module = parsed("fit", CONFIGS / name / "flow_dpo.yaml").model
    module.agents = torch.nn.Module()
    module.agents.parameters_of = lambda agent: [torch.nn.Parameter(torch.zeros(1))]
    assert type(module.configure_optimizers()) is torch.optim.Adam


@pytest.mark.parametrize("name", FAMILY)
def test_the_stages_of_a_model_agree(name: str) -> None:
    stages = {stage: yaml.safe_load((CONFIGS / name / f"{stage}.yaml").read_text()) for stage in VERB}
    flow_dpo, collect, sft, evaluate = (stage["model"]["init_args"] for stage in stages.values())
    assert flow_dpo["base"] == collect["base"] == sft["base"] == evaluate["base"]
    assert flow_dpo["prompts"] == collect["prompts"] == evaluate["prompts"]
    assert sft["prompt"] == flow_dpo["prompts"]["answer"]
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


@pytest.mark.parametrize("quantization", [(), ("--model.base.quantization=nf4",)], ids=["16-bit", "4-bit"])
@pytest.mark.parametrize(("name", "architecture"), RUNS)
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
    short = ["--model.flow.chunk_tokens=5", "--model.flow.max_chunks=3"]

    def run(stage: str, *changes: str) -> FlowCLI:
        config = f"--config={CONFIGS / name / stage}.yaml"
        base = f"--model.base.path={bases(architecture)}"
        return main([VERB[stage], config, "--trainer.accelerator=cpu", base, *quantization, *changes])

    small = ["--data.batch_size=8", "--data.chunk_size=16"]
    local = [
        f"--data.train.path={metamath}",
        f"--data.validation.path={gsm8k}",
        "--data.validation.name=null",
    ]
    run("flow_dpo", coin, *short, *small, *local, "--model.max_problems=16")
    learnt = json.loads((tmp_path / "runs" / name / "summary.json").read_text())
    assert all(learnt["pairs"].values()), "both agents have learnt something"

    run("collect", coin, *short, f"--data.predict.path={metamath}", "--data.predict.limit=40")
    traces = (tmp_path / "runs" / name / "predict" / "traces.jsonl").read_text().splitlines()
    assert len(traces) == 40 and any(json.loads(line)["correct"] for line in traces)

    cli = run("sft", "--trainer.max_epochs=2", "--data.limit=16")
    assert cli.trainer.global_step == 2
    assert (tmp_path / "runs" / f"{name}-sft" / "adapter" / "adapter_model.safetensors").is_file()

    run("evaluate", coin, "--model.flow.max_tokens=15", f"--data.test.path={gsm8k}", "--data.test.name=null")
    predictions = tmp_path / "runs" / f"{name}-sft" / "test" / "predictions.jsonl"
    assert len(predictions.read_text().splitlines()) == 8
