"""`merge`: an adapter, once, into a plain base folder that everything else loads.

The sum is made in float32 and rounded once to the base's dtype; that rounding is what changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.quiet import bars_on_a_terminal
from flowdpo_pl.results.atomic_writes import whole_folder

_ADAPTER = "merged"  # what the one adapter is called while it is loaded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.base import BaseModel


def merge(base: str, adapter: Path, output: Path, revision: str = "main") -> None:
    """Write base + adapter as a plain transformers folder with tokenizer, in the base's dtype.

    Prints by how much its logits differ, on a few token sequences, from those that PEFT computes with the
    adapter beside the plain base.

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
    plain_base = BaseModel(base, dtype=_dtype(base, revision), revision=revision)
    expected, rounding = _by_peft(plain_base, adapter)
    model, tokenizer = plain_base.load()
    agents = Agents(model, [_ADAPTER], lora)
    agents.load_saved(_ADAPTER, adapter)
    _merge(agents)
    plain: Any = agents.peft.unload()
    change = (_plain_logits(plain) - expected).abs()
    if not change.max() <= 4 * rounding + 1e-4 * expected.abs().max():
        raise UserError(
            f"merged weights give other logits than PEFT does with the adapter in {adapter}, by "
            f"{change.max():.2e} where rounding makes {rounding:.2e}: merge this adapter with PEFT."
        )
    with whole_folder(output) as folder, bars_on_a_terminal():
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    print(
        f"wrote {output} in {str(model.dtype).removeprefix('torch.')}; "
        f"logits changed by {change.max():.2e} at most and {change.mean():.2e} on average from PEFT's own "
        f"(they are {expected.abs().mean():.2e} on average)"
    )
    print(f"next: name it in a config, or --model.team.base.path={output}")


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


def _by_peft(base: BaseModel, adapter: Path) -> tuple[Tensor, float]:
    """Logits of PEFT's own forward, adapter and plain base apart, and how far PEFT's own merge rounds them.

    Nothing of ours takes part but the tokens.
    """
    from peft import PeftModel

    model, _ = base.load()
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
