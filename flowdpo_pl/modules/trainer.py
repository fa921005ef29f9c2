"""Lightning's trainer as the command line runs it, for Python: quiet, and the owner of its run's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_info

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.adapter_module import AdapterModule
from flowdpo_pl.modules.adapter_strategy import refuse_wrapping
from flowdpo_pl.modules.as_config import UnnamedError
from flowdpo_pl.modules.claimed_run import claimed_run
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.modules.metrics_table import MetricsTable
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.modules.python_run import command_of, config_of
from flowdpo_pl.modules.run_place import checkpoint_of
from flowdpo_pl.modules.trainer_settings import require_command
from flowdpo_pl.results.run_folder import Overwrite, Ways
from flowdpo_pl.results.run_results import RunResults

DEFAULTS: dict[str, Any] = {
    "devices": 1,
    "max_epochs": -1,  # a run ends with its problems, not with epochs; SFT insists on a number
    "log_every_n_steps": 1,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
}
"""Of the command line and of `Trainer`, where they are not Lightning's."""
_PYTHON = Ways('Trainer("runs/NAME", ..)', 'ckpt_path="last"', "overwrite=True")


class Trainer(lightning.Trainer):
    """`lightning.pytorch.Trainer` for a run that keeps its results in one folder.

    It has the defaults of the command line, and what no callback is given for does not come: no bar, no
    checkpoint, no `lightning_logs`. `fit` writes into the folder itself, `validate`, `test` and `predict`
    each into one of its name below it; another run there is refused as on the command line. `ckpt_path` may
    be `"last"` or `"best"` of this run, a file, or the folder of another run.

    Args:
        folder: where the run writes, such as runs/mine; made when it is first needed.
        callbacks: those of the package `callbacks`, and others; the run has these alone.
        overwrite: replace the run that is in the folder; `"same"`: only one of the same settings.
        settings: Lightning's own arguments, by name (docs/trainer.md); a `logger` comes beside `metrics.csv`.

    Raises:
        UserError: an argument that the folder stands for is given too.
    """

    def __init__(
        self,
        folder: str | Path,
        callbacks: Sequence[Callback] | Callback = (),
        overwrite: Overwrite = False,
        **settings: Any,
    ) -> None:
        if "default_root_dir" in settings:
            raise UserError("Trainer has default_root_dir beside its folder: leave default_root_dir out.")
        watching = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
        self._folder = Path(folder).expanduser()
        self._overwrite = overwrite
        self._given = {**DEFAULTS, **settings}
        self._given.setdefault("enable_progress_bar", _any(watching, ProgressBar))
        self._given.setdefault("enable_checkpointing", _any(watching, Checkpoint))
        further = _loggers(self._given.pop("logger", None))
        super().__init__(
            callbacks=watching,
            default_root_dir=self._folder,
            logger=[_table(self._folder), *further],
            **self._given,
        )

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._folder

    @property
    def results(self) -> RunResults:
        """What `fit` has left in the folder: curve, trees, adapters."""
        return RunResults(self._folder)

    def fit(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Lightning's, with the data module as the second argument or by its name.

        Raises:
            UserError: the folder holds another run, module or data have been trained with already, or an
                argument would not do what it says.
        """
        data = datamodule if datamodule is not None else train_dataloaders
        if ckpt_path is None:
            _require_fresh(model, data)
        refuse_wrapping(self.strategy)
        before = self.limit_val_batches
        if isinstance(model, FlowDPOModule) and self._given.get("limit_val_batches") is None:
            self.limit_val_batches = 0  # online learning is its own measure
        try:
            with self._owning("fit", model, data, ckpt_path) as checkpoint:
                super().fit(model, train_dataloaders, val_dataloaders, datamodule, checkpoint, weights_only)
        finally:
            self.limit_val_batches = before

    def validate(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | Path | None = None,
        verbose: bool = False,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[Mapping[str, float]]:
        """Lightning's, without its table: callbacks say what was measured."""
        data = datamodule if datamodule is not None else dataloaders
        with self._owning("validate", model, data, ckpt_path) as checkpoint:
            return super().validate(model, dataloaders, checkpoint, verbose, datamodule, weights_only)

    def test(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | Path | None = None,
        verbose: bool = False,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[Mapping[str, float]]:
        """Lightning's, without its table."""
        data = datamodule if datamodule is not None else dataloaders
        with self._owning("test", model, data, ckpt_path) as checkpoint:
            return super().test(model, dataloaders, checkpoint, verbose, datamodule, weights_only)

    def predict(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        return_predictions: bool | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> list[Any] | list[list[Any]] | None:
        """Lightning's."""
        data = datamodule if datamodule is not None else dataloaders
        with self._owning("predict", model, data, ckpt_path) as checkpoint:
            return super().predict(
                model, dataloaders, datamodule, return_predictions, checkpoint, weights_only
            )

    @contextmanager
    def _owning(
        self, verb: str, model: LightningModule | None, data: Any, checkpoint: str | Path | None
    ) -> Iterator[str | None]:
        """Own the folder that the verb writes to for the block; yields the checkpoint's file."""
        module = model if model is not None else self.lightning_module
        watching: list[Callback] = list(self.callbacks)  # type: ignore[attr-defined]
        settings = {**self._given, "limit_val_batches": self.limit_val_batches}
        require_command(command_of(verb, module, data, watching, settings))
        found = None if checkpoint is None else checkpoint_of(str(checkpoint), self._folder, verb == "fit")
        try:
            config = config_of(self._folder, module, data, watching, self._given)
        except UnnamedError as unnamed:
            rank_zero_info(f"{self._folder} gets no config.yaml, since a config can't name {unnamed}.")
            config = ""
        loggers, root = self.loggers, self._default_root_dir  # type: ignore[has-type]
        if verb != "fit":
            self.loggers = [_table(self._folder, verb), *loggers[1:]]
            self._default_root_dir = str(self._folder / verb)
        try:
            with claimed_run(self, verb, config, found, self._overwrite, _PYTHON):
                yield None if found is None else str(found)
        finally:
            self.loggers, self._default_root_dir = loggers, root


def _any(callbacks: Sequence[Callback], kind: type) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)


def _loggers(given: Any) -> list[Logger]:
    """Loggers beside the table.

    Raises:
        UserError: there are to be none at all.
    """
    if given is False:
        raise UserError("Trainer has logger=False: leave it out; metrics.csv, the run's log, is small.")
    if given in (None, True):
        return []
    return [given] if isinstance(given, Logger) else list(given)


def _table(folder: Path, verb: str = "") -> MetricsTable:
    return MetricsTable(save_dir=str(folder.parent), name=folder.name, version=verb)


def _require_fresh(model: LightningModule, data: Any) -> None:
    """
    Raises:
        UserError: one of the two is where an earlier run has left it, so that this one would not begin anew.
    """
    learnt = model.position if isinstance(model, AdapterModule) else 0
    read = data.consumed if isinstance(data, PromptDataModule) else 0
    for what, used in ((model, learnt), (data, read)):
        if used:
            raise UserError(
                f"this {type(what).__name__} has been in a run already (it is at {used}): make a new one, "
                'or go on with its run by ckpt_path="last".'
            )
