"""One LightningCLI: `fit`, `validate`, `test`, `predict`; what a config need not say, and argument links."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from flowdpo_pl.command_line.changed_class import carry_over_only_what_was_given, take_ours_for
from flowdpo_pl.command_line.settings import require_settings
from flowdpo_pl.command_line.taken_run import with_run
from flowdpo_pl.command_line.typed_text import for_parser, unmarked
from flowdpo_pl.command_line.verbs import verb_named
from flowdpo_pl.errors import SEED, Interrupted, UserError, require_within
from flowdpo_pl.modules.adapter_strategy import refuse_wrapping
from flowdpo_pl.modules.claimed_run import claimed_run
from flowdpo_pl.modules.data_files import require_data_files
from flowdpo_pl.modules.lightning_refusals import lightning_refusals
from flowdpo_pl.modules.run_config import settings_of
from flowdpo_pl.modules.run_place import DEFAULT_LOGGER, OURS_FOR, checkpoint_of, place
from flowdpo_pl.modules.trainer import DEFAULTS
from flowdpo_pl.modules.trainer_settings import class_at, require_served
from flowdpo_pl.results.run_folder import RunFolder, run_folder_of

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

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Lightning's would take true for a seed by chance, and no run is without one here."""
        parser.add_argument("--seed_everything", type=int, default=0, help="Seed of every draw of a run.")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--overwrite",
            type=bool | Literal["same"],
            nargs="?",
            const=True,
            default=False,
            help="Replace the run that is in the folder; `--overwrite=same`: only one of the same settings.",
        )
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
        self.config = unmarked(self.config)
        verb = self.config.subcommand
        config = self.config[verb]
        require_within(SEED, {"seed_everything": config.seed_everything})
        module = _module_for(verb, config.model.class_path)
        _limit_validation(verb, module, config.trainer)
        require_settings(verb, config.as_dict())
        run = place(verb, config)
        require_served(verb, config)
        self.require_there(verb, config, run)

    def _parse_ckpt_path(self) -> None:
        """Lightning takes classes and arguments that a checkpoint names; here a checkpoint names none."""

    def require_there(self, verb: str, config: Namespace, run: Path) -> None:
        """Look for what a run begins with: its checkpoint, and the files of its data.

        Raises:
            UserError: one is not there.
        """
        if config.get("ckpt_path") is not None:
            _require_takes_checkpoint(class_at(config.model.class_path))
            found = checkpoint_of(config.ckpt_path, run, verb == "fit")
            config.ckpt_path = None if found is None else str(found)
        data, validates = config.data, config.trainer.limit_val_batches != 0
        require_data_files(verb, class_at(data.class_path), data.get("init_args", Namespace()), validates)

    def _run_subcommand(self, subcommand: str) -> None:
        config = self.config[subcommand]
        settings = settings_of(self._parser(subcommand), config)
        claimed = claimed_run(self.trainer, subcommand, settings, config.get("ckpt_path"), config.overwrite)
        with _status_of_signals(), claimed:
            super()._run_subcommand(subcommand)

    def after_instantiate_classes(self) -> None:
        """By now Lightning has chosen the strategy for the devices that there are; no model is loaded yet."""
        if self.subcommand == "fit":
            refuse_wrapping(self.trainer.strategy)


class CheckCLI(FlowCLI):
    """`check`: takes what `fit` takes, and writes nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
        from flowdpo_pl.modules.full_check import Checked, FullCheck, tell

        if not isinstance(self.model, FlowDPOModule):
            raise UserError(
                f"check looks at a flow, and model.class_path is {type(self.model).__name__}: give a config "
                "of flowdpo_pl.FlowDPOModule."
            )
        folder = run_folder_of(self.trainer.loggers, self.trainer.default_root_dir)
        with RunFolder(folder, subcommand).claimed("", resumed=True, overwrite=False):  # can it be written?
            self.trainer.callbacks = [FullCheck(folder)]  # type: ignore[attr-defined]
            self.trainer.loggers = []
            try:
                LightningCLI._run_subcommand(self, subcommand)
            except Checked as checked:
                tell(checked.found)


CLIS = {**dict.fromkeys(VERBS, FlowCLI), "check": CheckCLI}
"""By verb, what reads its arguments and runs it."""


class DescribedRun(FlowCLI):
    """A run's module and data module as its config describes them; no trainer, no weights, nothing runs.

    Files that stages before it will write need not be there: adapters that are not are left out, and named in
    `missing`.
    """

    missing: tuple[str, ...] = ()
    """Folders of adapters."""

    def require_there(self, verb: str, config: Namespace, run: Path) -> None:
        team = config.model.init_args.get("team") if "init_args" in config.model else None
        adapters = dict(team.start.adapters) if team is not None else {}
        there = {agent: at for agent, at in adapters.items() if Path(at, "adapter_config.json").is_file()}
        if team is not None and there != adapters:
            team.start.adapters, team.start.reference = there, "base"
            self.missing = tuple(at for agent, at in adapters.items() if agent not in there)

    def instantiate_classes(self) -> None:
        built = self.parser.instantiate_classes(self.config)
        self.datamodule, self.model = self._get(built, "data"), self._get(built, "model")

    def after_instantiate_classes(self) -> None:
        """There is no trainer to look at."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing runs."""


def verb_of(module: str, tests: bool) -> str:
    """The verb that a config is for: `fit` where its module learns, else `test` or `predict`.

    Args:
        module: path of its class.
        tests: whether it names problems to test.
    """
    named: type[LightningModule] = class_at(module)
    if named.training_step is not LightningModule.training_step:
        return "fit"
    return "test" if tests else "predict"


def _module_for(verb: str, path: str) -> type[LightningModule]:
    """The class that a config names, which must know the verb."""
    module: type[LightningModule] = class_at(path)
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


def _require_takes_checkpoint(module: type) -> None:
    from flowdpo_pl.modules.evaluation_module import NO_CHECKPOINT, EvaluationModule

    if issubclass(module, EvaluationModule):
        raise UserError(NO_CHECKPOINT)


@contextlib.contextmanager
def _status_of_signals() -> Iterator[None]:
    """A run that was asked to end ends so, where Lightning says 0 or 1."""
    try:
        yield
    except SIGTERMException as error:
        raise Interrupted(signal.SIGTERM) from error
    except KeyboardInterrupt as error:
        raise Interrupted(signal.SIGINT) from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise Interrupted(signal.SIGINT) from error
        raise


@lightning_refusals()
def main(args: list[str] | None = None, cli: type[FlowCLI] = FlowCLI) -> FlowCLI:
    """Run one verb of the trainer."""
    return _parsed(cli, sys.argv[1:] if args is None else args)


@lightning_refusals()
def described(args: list[str]) -> DescribedRun:
    """What one verb of the trainer would run, the verb first.

    Raises:
        UserError: as the verb itself, but for files that are not there yet.
    """
    run = _parsed(DescribedRun, args)
    assert isinstance(run, DescribedRun)
    return run


def _with_run(args: list[str]) -> list[str]:
    """A command line, verb first, whose run is a config: who calls from Python names one as well."""
    return [*args[:1], *with_run(verb_named(args[0] if args else ""), args[1:])]


def _of_one_verb(cli: type[FlowCLI], verb: str) -> type[FlowCLI]:
    """The same for this verb alone: Lightning builds the arguments of all, a tenth of a second each."""
    left_out = cli.subcommands()[verb]

    class OfOneVerb(cli):  # type: ignore[misc, valid-type]
        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            return {verb: left_out}

    OfOneVerb.__name__ = cli.__name__
    return OfOneVerb


def _parsed(cli: type[FlowCLI], args: list[str]) -> FlowCLI:
    carry_over_only_what_was_given()
    take_ours_for(OURS_FOR)
    args = _with_run(args)
    verb = args[0]
    return _of_one_verb(cli, verb)(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        trainer_defaults={**DEFAULTS, "logger": DEFAULT_LOGGER},
        save_config_callback=None,  # RunConfig, later
        parser_kwargs={"exit_on_error": False, verb: {"exit_on_error": False}},
        args=for_parser(args),
    )
