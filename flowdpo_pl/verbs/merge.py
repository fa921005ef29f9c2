"""`merge`: an adapter, once, into a plain base folder that everything else loads.

The sum is made in float32 and rounded once to the base's dtype; that rounding is what changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_folder

_ADAPTER = "merged"  # what the one adapter is called while it is loaded

if TYPE_CHECKING:
    from torch import Tensor

    from flowdpo_pl.model.agents import Agents


def merge(base: str, adapter: Path, output: Path, revision: str = "main") -> None:
    """Write base + adapter as a plain transformers folder with tokenizer, in the base's dtype.

    Prints how much the logits change by it on a few token sequences.

    Args:
        base: hub id or folder of the model that the adapter was trained on, not quantised.
        adapter: folder in PEFT's format, such as a run's `adapter` or `adapters/last/answer`.
        output: the folder to write; must not exist.
        revision: of a hub id.
    """
    if output.exists():
        raise UserError(f"{output} exists already: remove it or choose another folder.")
    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.base import BaseModel
    from flowdpo_pl.model.lora import LoraSettings

    lora = LoraSettings.of_saved(adapter)
    model, tokenizer = BaseModel(base, dtype=_dtype(base, revision), revision=revision).load()
    agents = Agents(model, [_ADAPTER], lora)
    agents.eval()
    agents.load_saved(_ADAPTER, adapter)
    with agents.acting_as(_ADAPTER):
        before = _logits(agents)
    _merge(agents)
    with agents.reference(_ADAPTER):
        after = _logits(agents)
    plain: Any = agents.peft.unload()
    with whole_folder(output) as folder:
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    change = (after - before).abs()
    print(
        f"wrote {output} in {str(model.dtype).removeprefix('torch.')}; "
        f"logits changed by {change.max():.2e} at most and {change.mean():.2e} on average "
        f"(they are {before.abs().mean():.2e} on average)"
    )


def _dtype(base: str, revision: str) -> Any:
    """The base's own dtype by name, float32 where it does not say."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(base, revision=revision)
    except (OSError, ValueError):
        return "float32"  # BaseModel says in one sentence what is wrong
    if getattr(config, "quantization_config", None) is not None:
        raise UserError(f"{base} is quantised: merge into the 16-bit model that it was made from.")
    return str(config.get_text_config().dtype or "float32").removeprefix("torch.")


def _merge(agents: Agents) -> None:
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


def _logits(agents: Agents) -> Tensor:
    """Logits `[B * N, V]` in float32 of fixed random tokens, for whoever acts."""
    import torch

    from flowdpo_pl.model.attention import TreeView

    generator = torch.Generator().manual_seed(0)
    shape = 4, min(64, agents.context_limit)
    token_ids = torch.randint(agents.config.vocab_size, shape, generator=generator)
    positions = torch.arange(shape[1]).expand(shape)
    nothing = torch.zeros(shape, dtype=torch.long)
    head = agents.head(())
    with torch.no_grad():
        hidden = agents.hidden(token_ids, positions, TreeView(positions, nothing, nothing))
        return head.logits(hidden.flatten(0, 1))
