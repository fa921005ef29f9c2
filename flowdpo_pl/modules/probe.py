"""Two batches of a run, played and learnt here and now; nothing is written."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, Trainer

from flowdpo_pl.measure.memory import peak_memory_bytes
from flowdpo_pl.modules.adapter_module import AdapterModule

_BATCHES = 2


@dataclass(frozen=True)
class Probed:
    """What the batches took."""

    batch_seconds: float
    """Of the last: the first one has what is done once in a run."""
    phases: dict[str, float]
    """Seconds of that batch by phase, where the module says them."""
    batch_size: int
    """Problems or traces of that batch."""
    start_seconds: float
    """Up to the first batch."""
    peak_bytes: int


@dataclass(eq=False)
class _Clock(Callback):
    """Stops the run after its batches, and keeps what they returned."""

    wanted: int
    begun: float = field(default_factory=time.perf_counter)
    started: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def _start(self, batch: Any) -> None:
        self.started.append(time.perf_counter())
        self.sizes.append(len(batch))

    def _end(self, trainer: Trainer, outputs: Any) -> None:
        self.ended.append(time.perf_counter())
        if isinstance(outputs, dict):
            self.values = outputs
        if len(self.ended) >= self.wanted:
            trainer.should_stop = True

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        self._start(batch)

    def on_train_batch_end(
        self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._end(trainer, outputs)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._start(batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._end(trainer, outputs)

    on_predict_batch_start = on_validation_batch_start = on_test_batch_start
    on_predict_batch_end = on_validation_batch_end = on_test_batch_end


def probe(verb: str, module: AdapterModule, data: LightningDataModule, trainer: dict[str, Any]) -> Probed:
    """Run two steps of `verb`, the second of which counts; `trainer`: accelerator and epochs of the run."""
    batches = _BATCHES * module.demand().batches
    limited = {"validate": "limit_val_batches"}.get(verb, f"limit_{verb}_batches")
    limits: dict[str, Any] = {"limit_val_batches": 0, **({} if verb == "fit" else {limited: batches})}
    clock = _Clock(batches)
    runner = Trainer(
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[clock],
        **limits,
        **trainer,
    )
    getattr(runner, verb)(module, datamodule=data)
    own = module.demand().batches
    first = len(clock.ended) - own if len(clock.ended) > own else 0
    phases = {
        name.partition("/")[2]: float(value)
        for name, value in clock.values.items()
        if name.startswith("seconds/")
    }
    return Probed(
        batch_seconds=clock.ended[-1] - clock.started[first],
        phases=phases,
        batch_size=sum(clock.sizes[first:]),
        start_seconds=clock.started[0] - clock.begun,
        peak_bytes=int(peak_memory_bytes(module.players.agents.device)),
    )
