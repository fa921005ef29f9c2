"""Notices of other libraries that a normal run would print: advertisements, remarks on what is meant so.

Each is named by its logger or by how its text begins, so that whatever else these libraries say is still
said, and to warnings a filter that the user has set applies before ours.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LIGHTNING = (
    r"💡 Tip:",
    r"GPU available:",
    r"TPU available: False",
    r"HPU available:",
    r"Seed set to",
    r"LOCAL_RANK:",
    r"You are using a CUDA device \(.*\) that has Tensor Cores",
    r"`Trainer\.fit` stopped:",
    r"`Trainer\(limit_\w+=1\.0\)` was configured so 100%",
    r"Restoring states from",  # "Restored all states from" follows, or "Loaded model weights from"
    r"`weights_only` was not set",
    r"Initializing distributed:",
    r"-+\s+distributed_backend=",
)
LOGGED = {
    "lightning.pytorch.utilities.rank_zero": _LIGHTNING,
    "lightning.fabric.utilities.rank_zero": _LIGHTNING,
    "lightning.fabric.utilities.seed": _LIGHTNING,
    "lightning.fabric.utilities.distributed": _LIGHTNING,
    "lightning.pytorch.accelerators.cuda": _LIGHTNING,
    "lightning.pytorch.trainer.connectors.checkpoint_connector": _LIGHTNING,
    "transformers.tokenization_utils_tokenizers": (r"Ignoring clean_up_tokenization_spaces",),  # rightly
    "bitsandbytes.autograd._functions": (r"MatMul8bitLt: inputs will be cast",),  # int8, as configured
    "bitsandbytes.backends.cpu.ops": (r"Failed to load CPU gemm",),  # a missing optional kernel
}
"""How messages begin that are not logged, by logger."""
WARNED = (
    r"`(is_gradient_checkpointing|gradient_checkpointing_enable)` is deprecated",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"Found \d+ module\(s\) in eval mode",  # the base is frozen
    r".*does not have many workers",  # there is nothing to load
    r".*your `?dataloader is not resumable",  # ours are
    r"Total length of `list` across ranks is zero",  # no validation data
    r"LightningCLI's args parameter is intended",  # the words are checked before
    r"You have overridden `on_before_batch_transfer` in `LightningModule`",  # which checks batches
    r"TensorFloat32 tensor cores for float32 matrix multiplication available",  # float32 means float32
    r"Adapter name '.*' should not be contained in the prefix",  # only PEFT's own loading minds
    r"Starting from v1\.9\.0, `tensorboardX`",
    r"IProgress not found",  # in a notebook; our bar needs no ipywidgets
)
"""How warnings begin that are not shown."""


class _Unsaid(logging.Filter):
    """Lets a logger's messages through that begin otherwise."""

    def __init__(self, beginnings: tuple[str, ...]) -> None:
        super().__init__()
        self._begins = re.compile(rf"(\[rank: \d+\] )?({'|'.join(beginnings)})")

    def filter(self, record: logging.LogRecord) -> bool:
        return not self._begins.match(record.getMessage())


_FILTERS = {logger: _Unsaid(beginnings) for logger, beginnings in LOGGED.items()}


def quiet() -> None:
    """Leave these notices out from now on; called when `flowdpo_pl` is imported."""
    for logger, unsaid in _FILTERS.items():
        logging.getLogger(logger).addFilter(unsaid)
    for beginning in WARNED:
        warnings.filterwarnings("ignore", message=beginning, append=True)


@contextmanager
def bars_on_a_terminal() -> Iterator[None]:
    """Progress bars of transformers and the hub only where there is a terminal, and none is left behind."""
    from transformers.utils import logging as bars

    def passing(make: Any, args: Any, kwargs: Any) -> Any:
        return make(*args, **{**kwargs, "leave": False})

    shown = bars.is_progress_bar_enabled()
    before = bars.set_tqdm_hook(passing)
    if shown and not sys.stderr.isatty():
        bars.disable_progress_bar()
    try:
        yield
    finally:
        bars.set_tqdm_hook(before)
        if shown:
            bars.enable_progress_bar()
