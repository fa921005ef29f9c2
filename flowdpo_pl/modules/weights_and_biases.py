"""Weights & Biases: what a run logs, at W&B or in an offline run below its folder."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.run_logger import RUNS, RunLogger
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.visible import visible

PROJECT = "flowdpo_pl"
_IN_FOLDER = "offline in {0}; `wandb sync {0}` sends it"


class WeightsAndBiases(RunLogger, WandbLogger):
    """Lightning's WandbLogger below the run's folder: one W&B run for all resumes, x the run's position.

    Sent are numbers, tables, the run's arguments and what wandb notes of the machine: no weights, no code,
    nothing of the screen. W&B takes no row back: a resumed run leaves out those up to the last one logged.
    What wandb prints is left out, but for where the run is.
    """

    packages = ("wandb",)
    extra = "wandb"

    def __init__(
        self,
        save_dir: str | None = None,
        name: str | None = None,
        version: str | int | None = None,
        project: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        offline: bool = False,
        prefix: str = "",
    ) -> None:
        """
        Args:
            save_dir: folder of runs; null: that of another logger, or `runs`.
            name: the run's folder in it, and the run's name at W&B; null: that of another logger, or none.
            version: folder in that; null: that of another logger, or none.
            project: of W&B; null: $WANDB_PROJECT, or `flowdpo_pl`.
            entity: user or team of W&B; null: the account's own.
            group: of runs that belong together.
            tags: of the run.
            offline: send nothing: `wandb sync` does, when asked; as $WANDB_MODE=offline.
            prefix: put before every name.

        Raises:
            UserError: it is to send, and W&B has no key of this machine.
        """
        below = f"version_{version}" if isinstance(version, int) else version or ""
        self._folder = Path(save_dir or RUNS, name or "", below)
        self._mode = "offline" if offline else os.environ.get("WANDB_MODE", "online")
        if self._mode == "online":
            _require_key()
        super().__init__(
            name="/".join(filter(None, (name, below))) or None,
            save_dir=str(self._folder),
            project=project or os.environ.get("WANDB_PROJECT") or PROJECT,
            prefix=prefix,
            entity=entity,
            group=group,
            tags=tags,
            mode=self._mode,
        )
        del self._wandb_init["anonymous"]  # wandb warns of it
        self._open = self._done = -1
        """Position of the row that W&B still adds to, and that up to which earlier processes have logged."""

    def begin(self, settings: str) -> None:
        super().begin(settings)
        self._wandb_init["config"] = yaml.safe_load(settings)

    @property
    def log_dir(self) -> str:
        return str(self._folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None and not self._held:
            self._experiment = self._opened()
        return super().experiment

    def _opened(self) -> Any:
        """The W&B run: a new one, or that of the processes before."""
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)  # else wandb writes to a temporary one
        earlier = _read(self._state)
        self._done = self._open = int(earlier.get("logged", -1))
        self._wandb_init["id"] = earlier.get("id") or uuid.uuid4().hex[:8]
        online = self._mode == "online"
        run = wandb.init(
            **self._wandb_init | {"resume": "allow" if online else None},
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_code=True, disable_git=True),
        )
        run.define_metric("*", step_metric=self.axis)
        self._keep()
        print(f"W&B run {run.id}: {run.url if online else _IN_FOLDER.format(run.settings.sync_dir)}")
        return run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if self._held:
            return
        run = self.experiment
        position = max(0, self._open) if step is None else step
        if position <= self._done:
            return
        if position > self._open:
            self._keep()  # a row is written when the next one begins: one that is open is lost by a kill
            self._open = position
        run.log({**self._named(metrics), self.axis: position}, step=position)

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """A table, in the row of its step."""
        shown = [[visible(cell) if isinstance(cell, str) else cell for cell in row] for row in data or []]
        super().log_table(key, columns, shown, dataframe, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._experiment is not None and not self._held:
            self._experiment.finish(exit_code=0 if status == "success" else 1)
            self._experiment = None
            self._keep()

    def _named(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        prefix = f"{self._prefix}{self.LOGGER_JOIN_CHAR}" if self._prefix else ""
        return {f"{prefix}{name}": value for name, value in metrics.items()}

    @property
    def _state(self) -> Path:
        return self._folder / "wandb" / "run.json"

    def _keep(self) -> None:
        """For a later process: which run it is, and up to where it is written."""
        with whole_file(self._state) as partial:
            partial.write_text(json.dumps({"id": self._wandb_init["id"], "logged": self._open}) + "\n")


def _require_key() -> None:
    """
    Raises:
        UserError: W&B would ask for one in the middle of the run.
    """
    import wandb

    if not wandb.login(prompt=False):
        raise UserError(
            "trainer.logger names WeightsAndBiases, and W&B has no key on this machine: run `wandb login`, "
            "or set offline: true, or WANDB_MODE=offline, which send nothing."
        )


def _read(state: Path) -> dict[str, Any]:
    try:
        found = json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
