"""A Llama-shaped model with random weights, for speed alone: nothing has to be downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Shape:
    """Of the model; the defaults are about 1.1 billion parameters."""

    hidden_size: int = 2048
    layers: int = 16
    heads: int = 32
    kv_heads: int = 8
    head_size: int = 64
    intermediate_size: int = 8192

    @property
    def matrices(self) -> int:
        """Parameters of the layers' matrices."""
        attention = self.head_size * (2 * self.heads + 2 * self.kv_heads) * self.hidden_size
        return self.layers * (attention + 3 * self.hidden_size * self.intermediate_size)


def write_random_model(folder: Path, tokenizer: str, shape: Shape, device: torch.device) -> None:
    """Save such a model in bf16, made on `device`, with the tokenizer and chat template of a folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    words = AutoTokenizer.from_pretrained(tokenizer)
    config = LlamaConfig(
        vocab_size=-(-len(words) // 64) * 64,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    torch.manual_seed(0)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
