"""One LightningCLI: `fit`, `validate`, `test`, `predict`; what a config need not say, and argument links."""

from __future__ import annotations

import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from flowdpo_pl.errors import SEED, UserError, require_within
from flowdpo_pl.yaml_keys import refuse_repeated_keys

RUNS = "runs"
"""Where runs are written, unless a config says else."""
TRAINER: dict[str, Any] = {
    "devices": 1,
    "max_epochs": -1,  # a run ends with its problems, not with epochs; SFT insists on a number
    "log_every_n_steps": 1,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    "logger": {
        "class_path": "lightning.pytorch.loggers.CSVLogger",
        "init_args": {"save_dir": RUNS, "version": ""},
    },
}
"""Defaults of the trainer, where they are not Lightning's."""
VERBS = ("fit", "validate", "test", "predict")
"""Of the trainer."""
_STEPS = dict(zip(VERBS, ("training_step", "validation_step", "test_step", "predict_step"), strict=True))
_MODULES = {
    "fit": "flowdpo_pl.FlowDPOModule or flowdpo_pl.SFTModule",
    "validate": "flowdpo_pl.FlowDPOModule",
    "test": "flowdpo_pl.EvaluationModule",
    "predict": "flowdpo_pl.EvaluationModule",
}
"""The module of this project for each verb, for messages."""


class FlowCLI(LightningCLI):
    """Facts stated once: the run's seed is the module's and the data's, its folder is known to every path."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({"seed_everything": 0})
        parser.link_arguments("seed_everything", "model.init_args.seed")
        parser.link_arguments("seed_everything", "data.init_args.seed")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's verbs but for its own table of results: callbacks print what is measured, readably."""
        return {
            verb: left_out | {"verbose"} if verb in ("validate", "test") else left_out
            for verb, left_out in LightningCLI.subcommands().items()
        }

    def validate(self, **kwargs: Any) -> None:
        self.trainer.validate(**kwargs, verbose=False)

    def test(self, **kwargs: Any) -> None:
        self.trainer.test(**kwargs, verbose=False)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Lightning reads the checkpoint right after parsing, so it is checked here."""
        super().parse_arguments(parser, args)
        verb = self.config.subcommand
        config = self.config[verb]
        require_within(SEED, {"seed_everything": config.seed_everything})
        module = _module_for(verb, config.model.class_path)
        _limit_validation(verb, module, config.trainer)
        _place(verb, config)
        _check_checkpoint(config.get("ckpt_path"))


def _module_for(verb: str, path: str) -> type[LightningModule]:
    """The class that a config names, which must know the verb."""
    home, _, name = path.rpartition(".")
    module: type[LightningModule] = getattr(import_module(home), name)
    if getattr(module, _STEPS[verb]) is getattr(LightningModule, _STEPS[verb]):
        raise UserError(
            f"{path} has no `{verb}`: set model.class_path to {_MODULES[verb]} (docs/evaluation.md), "
            "or run one of its own verbs."
        )
    return module


def _limit_validation(verb: str, module: type[LightningModule], trainer: Namespace) -> None:
    """Online learning is its own measure: `fit` leaves validation out, and `validate` plays it."""
    from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule

    if issubclass(module, FlowDPOModule):
        if verb == "fit" and trainer.limit_val_batches is None:
            trainer.limit_val_batches = 0
        if verb == "validate" and trainer.limit_val_batches == 0:  # as in the config that a `fit` has saved
            trainer.limit_val_batches = 1.0


def _place(verb: str, config: Namespace) -> None:
    """The run's folder is the (first) logger's; other verbs than `fit` write below it."""
    given = config.trainer.logger
    arguments = [
        one.init_args
        for one in (given if isinstance(given, list) else [given])
        if one not in (None, True, False)
    ]
    for own in arguments:
        if verb != "fit" and own.get("version") == "":
            own.version = verb
    first = next((own for own in arguments if "save_dir" in own), Namespace())
    folder = str(first.get("save_dir") or RUNS)
    if config.trainer.default_root_dir is None:
        config.trainer.default_root_dir = str(Path(folder, first.get("name") or ""))
    for part in (config.model, config.data):
        part.init_args = _filled(part.init_args, "{save_dir}", folder)


def _filled(value: Any, placeholder: str, text: str) -> Any:
    """A value of a config, with the placeholder in all its texts filled in."""
    if isinstance(value, str):
        return value.replace(placeholder, text)
    if isinstance(value, list):
        return [_filled(inner, placeholder, text) for inner in value]
    if isinstance(value, dict):
        return {key: _filled(inner, placeholder, text) for key, inner in value.items()}
    if isinstance(value, Namespace):
        return Namespace(_filled(vars(value), placeholder, text))
    return value


def _check_checkpoint(path: str | None) -> None:
    if path in (None, "last", "best", "hpc", "registry"):
        return
    if not Path(path).is_file():
        raise UserError(f"--ckpt_path {path} does not exist: give a checkpoint that a run has written.")
    if not zipfile.is_zipfile(path):
        raise UserError(f"--ckpt_path {path} is truncated or no checkpoint: use an earlier one.")


def main(args: list[str] | None = None) -> FlowCLI:
    """Run one verb of the trainer."""
    refuse_repeated_keys()
    return FlowCLI(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        trainer_defaults=TRAINER,
        save_config_kwargs={"overwrite": True},
        parser_kwargs={
            "description": "Online Flow-DPO. There are also `study`, for all stages of one; `ground_truth` "
            "and `arms`, for its traces; `compare`, for two tests; `convert`, for GGUF files; `merge`, for "
            "adapters: each has --help.",
            "exit_on_error": False,
            **{verb: {"exit_on_error": False} for verb in VERBS},
        },
        args=args,
    )
