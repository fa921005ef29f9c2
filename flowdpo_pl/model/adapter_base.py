"""Whether an adapter meets the base that it was trained on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from flowdpo_pl.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROUNDING = 2.0**-7  # bfloat16's: the same weights may be stored in another type


def require_base(folder: Path, trained_on: str | None, base: PreTrainedModel) -> None:
    """Compare the base with the one that the adapter in `folder` names, as far as that can be done.

    Two folders are compared by one row of every matrix. Where the named base is not on this machine, a
    warning says so.

    Raises:
        UserError: the weights are others.
    """
    own = base.name_or_path or "."
    if not trained_on or trained_on == own or Path(trained_on).resolve() == Path(own).resolve():
        return
    same = _same_weights(Path(trained_on), base)
    if same is None:
        warnings.warn(
            f"the adapter in {folder} was trained on {trained_on}, which can't be compared with the base "
            f"{own}: if that has other weights, all that the adapter computes is wrong",
            stacklevel=2,
        )
    elif not same:
        raise UserError(
            f"the adapter in {folder} was trained on {trained_on}, whose weights are not those of the base "
            f"{own}: give the base that it was trained on."
        )


def _same_weights(folder: Path, base: PreTrainedModel) -> bool | None:
    """None where no matrix of the folder has its like in the base."""
    import torch
    from safetensors import safe_open

    named = {name.replace(".base_layer", ""): parameter for name, parameter in base.named_parameters()}
    compared = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118
                own, part = named.get(name), stored.get_slice(name)
                if own is None or own.dim() != 2 or list(own.shape) != part.get_shape():
                    continue
                if not own.is_floating_point():  # quantised: numbers of another kind
                    continue
                row = part[len(own) // 2].float()
                compared += 1
                if not torch.allclose(own[len(own) // 2].detach().cpu().float(), row, _ROUNDING, 1e-6):
                    return False
    return True if compared else None
