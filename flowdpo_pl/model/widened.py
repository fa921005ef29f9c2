"""Numbers that need more digits than a base's have: float32, or float64 where the base is float64."""

from __future__ import annotations

import torch
from torch import Tensor


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """Of adapters, logits and sums over a base of this dtype."""
    return torch.promote_types(dtype, torch.float32)


def widened(tensor: Tensor) -> Tensor:
    """The tensor in float32 at least."""
    return tensor.to(wide_dtype(tensor.dtype))
