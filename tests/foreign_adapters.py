"""Adapters as other programs save them: by stock PEFT, with settings that are not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

TOKENS = torch.arange(20, 50)[None]


def plain_base(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)


def save_foreign(base: Path, folder: Path, **settings: Any) -> Path:
    """A trained adapter of r 4, alpha 8 on the query and value projections, but for these settings."""
    torch.manual_seed(0)
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **settings},
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(plain_base(base), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.15 * torch.randn_like(parameter))
    model.save_pretrained(str(folder))
    return folder


def peft_logits(base: Path, adapter: Path) -> Tensor:
    """What PEFT computes with it, `[N, V]`."""
    model = PeftModel.from_pretrained(plain_base(base), str(adapter)).eval()
    with torch.no_grad():
        logits: Tensor = model(TOKENS).logits[0]
    return logits
