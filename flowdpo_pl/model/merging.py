"""An adapter added to its base: one plain model that everything else loads.

The sum is made in float32 and rounded once to the base's dtype; that rounding is what changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.base import BaseModel

_ADAPTER = "merged"  # what the one adapter is called while it is loaded


@dataclass(frozen=True)
class Merged:
    """A plain model with its tokenizer, and how its logits differ from those of adapter and base apart."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    largest: float
    """Difference from PEFT's own forward on a few token sequences."""
    mean: float
    """Of these differences."""
    logits: float
    """Mean of the logits' sizes, to compare with."""


def require_mergeable(base: BaseModel) -> None:
    """
    Raises:
        UserError: the adapters learnt beside weights in 4 or 8 bits, which a sum with them would not be.
    """
    if base.quantization is not None:
        raise UserError(
            f"the adapters learnt beside a base in {base.quantization}, and added to other weights they "
            "would be other models: leave --merged out."
        )


def merged(base: BaseModel, adapter: Path) -> Merged:
    """Base + adapter, in the dtype of `base`, compared with what PEFT computes of the two.

    Args:
        base: the model that the adapter was trained on, not quantised.
        adapter: folder in PEFT's format.

    Raises:
        UserError: the adapter does not fit the base, is not plain LoRA, or PEFT computes something else.
    """
    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.lora import LoraSettings

    require_mergeable(base)
    lora = LoraSettings.of_saved(adapter)
    expected, rounding = _by_peft(base, adapter)
    model, tokenizer = base.load()
    agents = Agents(model, [_ADAPTER], lora)
    agents.load_saved(_ADAPTER, adapter)
    _add(agents)
    plain: Any = agents.peft.unload()
    change = (_plain_logits(plain) - expected).abs()
    if not change.max() <= 4 * rounding + 1e-4 * expected.abs().max():
        raise UserError(
            f"merged weights give other logits than PEFT does with the adapter in {adapter}, by "
            f"{change.max():.2e} where rounding makes {rounding:.2e}: merge this adapter with PEFT."
        )
    return Merged(plain, tokenizer, float(change.max()), float(change.mean()), float(expected.abs().mean()))


def _add(agents: Agents) -> None:
    """Add the adapter to the base's own weights, in float32, rounded once."""
    import torch
    from peft.tuners.lora import LoraLayer

    with torch.no_grad():
        for layer in agents.base.modules():
            if isinstance(layer, LoraLayer):
                weight = layer.get_base_layer().weight
                assert isinstance(weight, torch.Tensor)
                delta: torch.Tensor = layer.get_delta_weight(_ADAPTER)  # type: ignore[operator]
                weight.copy_(weight.float() + delta.float())


def _by_peft(base: BaseModel, adapter: Path) -> tuple[Tensor, float]:
    """Logits of PEFT's own forward, adapter and plain base apart, and how far PEFT's own merge rounds them.

    Nothing of ours takes part but the tokens.
    """
    from peft import PeftModel

    model, _ = base.load()
    if getattr(model.config, "quantization_config", None) is not None:
        raise UserError(f"{base.path} is quantised: merge into the 16-bit model that it was made from.")
    try:
        both: Any = PeftModel.from_pretrained(model, str(adapter))
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the adapter in {adapter} does not fit {base.path}: {str(error).splitlines()[0]}"
        ) from error
    both.eval()
    apart = _plain_logits(both)
    return apart, float((_plain_logits(both.merge_and_unload()) - apart).abs().max())


def _plain_logits(model: PreTrainedModel) -> Tensor:
    """Logits `[4, N, V]` in float32 of fixed random tokens, by the model's own forward and attention."""
    import torch

    from flowdpo_pl.model.base import context_limit

    model.set_attn_implementation("eager")
    config = model.config.get_text_config()
    generator = torch.Generator().manual_seed(0)
    token_ids = torch.randint(config.vocab_size, (4, min(64, context_limit(model))), generator=generator)
    with torch.no_grad():
        logits: Tensor = model(token_ids, use_cache=False).logits
    return logits.float()
