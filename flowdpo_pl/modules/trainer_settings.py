"""What Lightning's trainer takes and a run of this project does otherwise: a table, asked once, early.

An argument that Lightning itself refuses is not here: `lightning_refusals` says that in a sentence.
docs/trainer.md goes through all arguments.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.plugins import ClusterEnvironment
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.callbacks.spike import SpikeDetection
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy
from flowdpo_pl.modules.evaluation_module import EvaluationModule
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.modules.ray_strategy import RayAdapterStrategy
from flowdpo_pl.modules.run_logger import RunLogger
from flowdpo_pl.modules.sft_module import SFTModule
from flowdpo_pl.modules.trace_data_module import TraceDataModule

STREAMS = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}
"""What a verb goes through, as `limit_*_batches` names it."""
OWN_CALLBACKS = "callbacks"
"""The package whose callbacks each write files of fixed names."""


@dataclass(frozen=True)
class Command:
    """A verb and its sections of the config, classes resolved."""

    verb: str
    module: type
    data: type
    trainer: Namespace
    callbacks: Sequence[type]
    """As often as they are named."""

    @property
    def online(self) -> bool:
        """Whether problems are learnt as they come: no epochs, no length."""
        return self.verb == "fit" and issubclass(self.module, FlowDPOModule)

    @property
    def uncounted(self) -> bool:
        """Whether nobody knows how many batches there are."""
        return issubclass(self.data, PromptDataModule)


@dataclass(frozen=True)
class Rule:
    """A setting of the trainer that is refused, and what to do instead."""

    key: str
    refuses: Callable[[Command, Any], bool]
    instead: str


def require_served(verb: str, config: Namespace) -> None:
    """Refuse what a run of this config would not do as it was told (`require_command`)."""
    for logger in _entries(config.trainer.logger):
        if issubclass(kind := class_at(logger.class_path), RunLogger):
            kind.require_installed()
    callbacks = [class_at(entry.class_path) for entry in _entries(config.trainer.get("callbacks"))]
    model, data = (class_at(part.class_path) for part in (config.model, config.data))
    require_command(Command(verb, model, data, config.trainer, callbacks))


def require_command(command: Command) -> None:
    """
    Raises:
        UserError: a run would not do what it was told; names the key and its value and says what to do.
    """
    _require_data(command)
    for rule in RULES:
        value = command.trainer.get(rule.key)
        if rule.refuses(command, value):
            raise UserError(f"trainer.{rule.key} is {_shown(value)}: {rule.instead}.")
    _require_callbacks(command)
    _require_writable(command.trainer)


def class_at(path: str) -> type:
    """The class that a config names by its whole path."""
    home, _, name = path.rpartition(".")
    found: type = getattr(import_module(home), name)
    return found


# What the rules ask. Each is given the command and the value of the rule's key.


def _given(command: Command, value: Any) -> bool:
    return value is not None


def _true(command: Command, value: Any) -> bool:
    return value is True


def _below(least: int) -> Callable[[Command, Any], bool]:
    return lambda command, value: value is not None and value < least


def _no_gpu(command: Command, value: Any) -> bool:
    known = {name: entry["accelerator"] for name, entry in AcceleratorRegistry.items()}
    if value == "gpu":
        return not any(known[name].is_available() for name in ("cuda", "mps"))
    return value in known and not known[value].is_available()


def _other_strategy(command: Command, value: Any) -> bool:
    if value == "auto":
        return False
    init: dict[str, Any] = {}
    if isinstance(value, str):
        if value.lower() not in StrategyRegistry:
            return True
        entry = StrategyRegistry[value.lower()]
        kind, init = entry["strategy"], entry["init_params"]
    else:
        kind, init = class_at(value.class_path), vars(value.get("init_args") or Namespace())
    if issubclass(kind, AdapterStrategy):
        return False
    started_anew = init.get("start_method", "popen") == "popen"
    return command.verb == "fit" or not (issubclass(kind, DDPStrategy) and started_anew)


def _other_plugin(command: Command, value: Any) -> bool:
    return any(not issubclass(class_at(plugin.class_path), ClusterEnvironment) for plugin in _entries(value))


def _limits_part(stream: str) -> Callable[[Command, Any], bool]:
    """A share of a stream without a length, in the verb that goes through it."""

    def refuses(command: Command, value: Any) -> bool:
        goes_through = STREAMS[command.verb] == stream or (command.verb == "fit" and stream == "val")
        part = isinstance(value, float) and 0 < value < 1
        return goes_through and command.uncounted and part

    return refuses


def _limits_all(stream: str) -> Callable[[Command, Any], bool]:
    """Nothing of what the verb is there for."""
    return lambda command, value: STREAMS[command.verb] == stream and value is not None and value == 0


def _part_of_stream(command: Command, value: Any) -> bool:
    return command.online and isinstance(value, float) and 0 < value < 1


def _zero(command: Command, value: Any) -> bool:
    return not isinstance(value, str) and value == 0


def _in_stream(command: Command, value: Any) -> bool:
    return command.online and value is not None


def _off_beside(kind: type) -> Callable[[Command, Any], bool]:
    return lambda command, value: value is False and any(issubclass(one, kind) for one in command.callbacks)


_WHOLE_BATCHES = "the stream has no length, so give a whole number of batches, or 1.0 for all"
_NOTHING = "the verb would do nothing; give a number of batches, or leave it out"
RULES = (
    Rule("accelerator", _no_gpu, "this machine has none; leave it out, or give cpu or auto"),
    Rule(
        "strategy",
        _other_strategy,
        f"leave it out for one device, and give flowdpo_pl.AdapterStrategy for several, or "
        f"{RayAdapterStrategy.__name__} where Ray has started them (docs/scale.md)",
    ),
    Rule(
        "precision",
        lambda _, value: value not in (None, 32, "32", "32-true"),
        "leave it out; the base's dtype is model.team.base.dtype, and adapters are in float32",
    ),
    Rule(
        "accumulate_grad_batches",
        lambda _, value: value != 1,
        "leave it out; SFT counts model.accumulation batches a step, and Flow-DPO has one step a batch of "
        "data.batch_size problems, or one for model.pairs_per_update pairs",
    ),
    Rule("gradient_clip_val", _given, "leave it out and set model.learning.max_grad_norm"),
    Rule("gradient_clip_algorithm", _given, "leave it out; model.learning.max_grad_norm clips the norm"),
    *(Rule(f"limit_{stream}_batches", _limits_part(stream), _WHOLE_BATCHES) for stream in STREAMS.values()),
    *(Rule(f"limit_{stream}_batches", _limits_all(stream), _NOTHING) for stream in STREAMS.values()),
    Rule(
        "overfit_batches",
        lambda _, value: value != 0,
        "leave it out and shorten the data: data.train.limit, or data.limit for traces",
    ),
    Rule("val_check_interval", _part_of_stream, _WHOLE_BATCHES + ", or a time DD:HH:MM:SS"),
    Rule("val_check_interval", _zero, "give at least 1 batch, or trainer.limit_val_batches=0 for none"),
    Rule("check_val_every_n_epoch", _below(1), "give at least 1, or null"),
    Rule("num_sanity_val_steps", _below(-1), "give a number of batches, 0 for none or -1 for all"),
    Rule("log_every_n_steps", _below(0), "give a number of steps, or 0 for no rows"),
    Rule("min_epochs", _in_stream, "leave it out; Flow-DPO ends with its problems (model.max_problems)"),
    Rule("min_steps", _in_stream, "leave it out; Flow-DPO ends with its problems (model.max_problems)"),
    Rule("min_epochs", _below(0), "give at least 0"),
    Rule("min_steps", _below(0), "give at least 0"),
    Rule(
        "enable_checkpointing",
        _off_beside(lightning_callbacks.Checkpoint),
        "take the checkpoint callback out of trainer.callbacks",
    ),
    Rule(
        "enable_progress_bar",
        _off_beside(lightning_callbacks.ProgressBar),
        "take the progress bar out of trainer.callbacks",
    ),
    Rule("barebones", _true, "leave it out; it would drop the logger, the callbacks and the checkpoints"),
    Rule("sync_batchnorm", _true, "leave it out; the base is frozen, and adapters have no batch norm"),
    Rule(
        "plugins",
        _other_plugin,
        "leave out all but the environment of a cluster; dtypes are the base's, checkpoints the callbacks'",
    ),
    Rule("model_registry", _given, "leave it out; adapters and checkpoints are in the run's folder"),
)
"""Asked in this order, of every command."""

UNFIT = {
    lightning_callbacks.StochasticWeightAveraging: "the adapters of a run are those that were learnt",
    lightning_callbacks.WeightAveraging: "the adapters of a run are those that were learnt",
    lightning_callbacks.GradientAccumulationScheduler: "set model.accumulation (SFT) or data.batch_size",
    lightning_callbacks.BatchSizeFinder: "set data.batch_size, and model.team.budget for memory",
    lightning_callbacks.LearningRateFinder: "set model.learning.lr",
    lightning_callbacks.BaseFinetuning: "the base stays frozen, and so do the agents in model.frozen",
    lightning_callbacks.ModelPruning: "the base stays as it is",
    SpikeDetection: "a loss that isn't finite is set aside, and each agent has its own",
}
"""Lightning's callbacks that steer a training which Lightning's own loop would do, and what to do instead."""


def _require_data(command: Command) -> None:
    """Problems for what plays, traces for what learns from them."""
    needs = {FlowDPOModule: PromptDataModule, EvaluationModule: PromptDataModule, SFTModule: TraceDataModule}
    for module, data in needs.items():
        others = tuple(set(needs.values()) - {data})
        if issubclass(command.module, module) and issubclass(command.data, others):
            raise UserError(
                f"data.class_path is {_path(command.data)}, which {_path(command.module)} can't read: "
                f"set it to {_path(data)}."
            )


def _require_callbacks(command: Command) -> None:
    """None that is unfit, and none that writes what another one writes."""
    kinds = command.callbacks
    for kind in kinds:
        for unfit, instead in UNFIT.items():
            if issubclass(kind, unfit):
                raise UserError(f"trainer.callbacks names {kind.__name__}: take it out; {instead}.")
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] == OWN_CALLBACKS]
    for kind, times in Counter(own).items():
        if times > 1:
            raise UserError(f"trainer.callbacks names {kind.__name__} {times} times: leave one of them.")
    for family, what in (
        (lightning_callbacks.Checkpoint, "checkpoints"),
        (lightning_callbacks.ProgressBar, "progress bars"),
    ):
        several = [kind for kind in kinds if issubclass(kind, family)]
        if set(several) & set(own) and set(several) - set(own):  # two of ours: one is of another module
            names = " and ".join(kind.__name__ for kind in several)
            raise UserError(f"trainer.callbacks names the {what} {names}: leave one of them.")


def _require_writable(trainer: Namespace) -> None:
    """Before anything is computed; Lightning would say so when it first writes."""
    loggers = [logger.get("init_args") or Namespace() for logger in _entries(trainer.logger)]
    folders = [("trainer.logger.init_args.save_dir", logger.get("save_dir")) for logger in loggers]
    for key, folder in [*folders, ("trainer.default_root_dir", trainer.default_root_dir)]:
        if folder is None or "://" in str(folder):
            continue
        place = Path(folder).absolute()
        there = next(part for part in (place, *place.parents) if part.exists())
        try:
            tempfile.TemporaryDirectory(dir=there).cleanup()
        except OSError as error:
            raise UserError(
                f"{key} is {folder}, but {there} takes no new folder ({error.strerror}): name another one."
            ) from error


def _entries(given: Any) -> Iterator[Namespace]:
    """The classes of a section that takes one, several, none, or a word."""
    several: Sequence[Any] = given if isinstance(given, list) else [given]
    return (entry for entry in several if isinstance(entry, Namespace) and "class_path" in entry)


def _shown(value: Any) -> str:
    if isinstance(value, (list, Namespace)):
        return " and ".join(entry.class_path for entry in _entries(value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def _path(kind: type) -> str:
    """As a config names it, where it is one of ours."""
    package = kind.__module__.partition(".")[0]
    return f"{package if package == 'flowdpo_pl' else kind.__module__}.{kind.__name__}"
