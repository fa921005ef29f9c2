"""The moment a run begins to write: what is replaced goes, the folder is marked, `config.yaml` is saved."""

from __future__ import annotations

import hashlib

from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser

from flowdpo_pl.modules.run_logger import RunLogger
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.run_folder import RunFolder

_NOT_KEPT = ("overwrite", "ckpt_path")
"""Arguments that are said anew each time."""


class RunConfig(Callback):
    """Comes when the model is loaded and the first batch is there: what fails before has changed nothing.

    Args:
        settings: the run's, as `settings_of` has them; empty: they can't be said, and no file is written.
        folder: the run's, which this process has claimed.
        replaced: which run it will replace, in words.
    """

    def __init__(self, settings: str, folder: RunFolder, replaced: str = "") -> None:
        self._text = settings
        self._folder = folder
        self._replaced = replaced
        self._begun = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer)

    def _begin(self, trainer: Trainer) -> None:
        if not self._begun:
            self._begun = True
            self._folder.begin()
            if self._replaced:
                trainer.print(self._replaced)
            if self._text:
                with whole_file(self._folder.path / "config.yaml") as partial:
                    partial.write_text(self._text, encoding="utf-8")
            for logger in trainer.loggers:
                if isinstance(logger, RunLogger):
                    logger.begin(self._text)


def settings_of(parser: LightningArgumentParser, config: Namespace) -> str:
    """All arguments of a run as YAML, defaults included, which `--config` takes again."""
    kept = Namespace({name: value for name, value in vars(config).items() if name not in _NOT_KEPT})
    text: str = parser.dump(kept, skip_none=False, skip_validation=True)
    return text


def settings_digest(settings: str) -> str:
    """The same for the same arguments."""
    return hashlib.sha256(settings.encode()).hexdigest()[:16]
