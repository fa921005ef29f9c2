"""The shape of the agents' LoRA adapters, and adapters that were saved in PEFT's format."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowdpo_pl.errors import COUNT, DROPOUT, POSITIVE, UserError, require_within
from flowdpo_pl.model.adapter_config import adapter_config, plain_alpha

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import Tensor


@dataclass(frozen=True)
class LoraSettings:
    """Shape of every agent's adapter (paper: r 8, alpha 8, dropout 0.05 on all linear layers)."""

    r: int = 8
    """Rank."""
    alpha: int | float = 8
    """The update is scaled by alpha / r."""
    dropout: float = 0.05
    """On the adapters' input, while training only; layers that read the same input share what is dropped."""
    target_modules: str | list[str] = "all-linear"
    """`all-linear`: every linear layer but the output head; or module names; or a regular expression."""

    def __post_init__(self) -> None:
        require_within(COUNT, {"r": self.r})
        require_within(POSITIVE, {"alpha": self.alpha})
        require_within(DROPOUT, {"dropout": self.dropout})

    def peft_config(self) -> LoraConfig:
        """The same in PEFT's words, for one adapter."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # may be a fraction
            lora_dropout=self.dropout,
            target_modules=self.target_modules,
            task_type="CAUSAL_LM",
        )

    @staticmethod
    def of_saved(folder: Path) -> LoraSettings:
        """The shape of an adapter that was saved in PEFT's format.

        Raises:
            UserError: `folder` holds no adapter, or one that is not plain LoRA (`adapter_config`).
        """
        saved = adapter_config(folder)
        modules = saved["target_modules"]
        try:
            return LoraSettings(
                r=saved["r"],
                alpha=plain_alpha(saved),
                dropout=saved.get("lora_dropout", 0.0),
                target_modules=modules if isinstance(modules, str) else sorted(modules),
            )
        except (ValueError, TypeError, OverflowError) as error:  # out of its range, or no number at all
            raise UserError(f"the adapter in {folder} can't be used: {error}") from error


def saved_weights(folder: Path) -> dict[str, Tensor]:
    """Weights of an adapter that was saved in PEFT's format, by PEFT's names, which leave the adapter's out.

    Raises:
        UserError: `folder` holds no adapter, or one with weights that are no numbers.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = _part(folder, "adapter_model.safetensors")
    try:
        weights = load_file(file)
    except SafetensorError as error:
        raise UserError(f"{file} can't be read ({error}): copy or save the adapter again.") from error
    if broken := [name for name, weight in weights.items() if not weight.isfinite().all()]:
        raise UserError(f"the adapter in {folder} is not finite at {broken[0]}: give an earlier one.")
    return weights


def adapter_fingerprint(folder: Path) -> str:
    """Of an adapter's weights and of what they are scaled by, wherever they lie.

    Raises:
        UserError: `folder` holds no adapter, or one that can't be used.
    """
    shape = LoraSettings.of_saved(folder)
    digest = hashlib.sha256(_part(folder, "adapter_model.safetensors").read_bytes())
    digest.update(f"{shape.r} {float(shape.alpha)!r}".encode())
    return digest.hexdigest()[:16]


def _part(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise UserError(f"{folder} holds no adapter: it has no {name}.")
    return folder / name
