"""One LightningCLI: `fit`, `validate`, `test`, `predict`; argument links, nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from flowdpo_pl.errors import UserError

VERBS = ("fit", "validate", "test", "predict")
"""Of the trainer."""


class FlowCLI(LightningCLI):
    """Facts stated once: the run's seed is the module's and the data's."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({"seed_everything": 0})
        parser.link_arguments("seed_everything", "model.init_args.seed")
        parser.link_arguments("seed_everything", "data.init_args.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Lightning reads the checkpoint right after parsing, so it is checked here."""
        super().parse_arguments(parser, args)
        self._fit_one_config_to_all_verbs()
        self._check_checkpoint(self.config[self.config.subcommand].get("ckpt_path"))

    def _fit_one_config_to_all_verbs(self) -> None:
        """Other verbs than `fit` write into a subfolder; `validate` plays what `fit` leaves out."""
        verb = self.config.subcommand
        trainer = self.config[verb].trainer
        logger = trainer.get("logger")
        if verb != "fit" and isinstance(logger, Namespace) and logger.init_args.get("version") == "":
            logger.init_args.version = verb
        if verb == "validate" and trainer.limit_val_batches == 0:
            trainer.limit_val_batches = 1.0

    def _check_checkpoint(self, path: str | None) -> None:
        if path in (None, "last", "best", "hpc", "registry"):
            return
        if not Path(path).is_file():
            raise UserError(f"--ckpt_path {path} does not exist: give a checkpoint that a run has written.")
        if not zipfile.is_zipfile(path):
            raise UserError(f"--ckpt_path {path} is truncated or no checkpoint: use an earlier one.")


def main(args: list[str] | None = None) -> FlowCLI:
    """Run one verb of the trainer."""
    return FlowCLI(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        save_config_callback=SaveConfigCallback,
        save_config_kwargs={"overwrite": True},
        parser_kwargs={
            "description": "Online Flow-DPO. There are also `convert`, for GGUF files, and `merge`, "
            "for adapters: see `convert --help` and `merge --help`.",
            "exit_on_error": False,
            **{verb: {"exit_on_error": False} for verb in VERBS},
        },
        args=args,
    )
