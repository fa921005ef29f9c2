"""Tiny random models of real architectures, with a word-level tokenizer, written once per session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
    "{% if enable_thinking is defined and enable_thinking %}{{ '' }}{% endif %}"  # an argument as of Qwen3's
)
SPECIAL = ["<pad>", "<unk>", "<end>", "<eot>", "<system>", "<user>", "<assistant>"]
WORDS = ["Yes", "No", "is", "it", "finished", "?", "the", "answer", "problem", ":", "so", "far", "plus"]
VOCABULARY = SPECIAL + WORDS + [str(n) for n in range(44)]

COMMON: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "eos_token_id": [2, 3],
    "bos_token_id": None,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "qwen3": {"model_type": "qwen3", "head_dim": 16},
    "gemma3_text": {
        "model_type": "gemma3_text",
        "head_dim": 16,
        "sliding_window": 12,
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "final_logit_softcapping": 5.0,
        "query_pre_attn_scalar": 16,
    },
    "gemma2": {
        "model_type": "gemma2",
        "head_dim": 16,
        "sliding_window": 12,
        "attn_logit_softcapping": 3.0,
        "final_logit_softcapping": 5.0,
        "query_pre_attn_scalar": 16,
    },
    "phi3": {"model_type": "phi3", "sliding_window": 12},
    "mistral": {"model_type": "mistral", "sliding_window": 12, "head_dim": 8},
}
"""Windows are shorter than the tests' sequences, on purpose."""


def write_model(folder: Path, family: str = "llama", seed: int = 0, **overrides: Any) -> Path:
    """Save a random model of `family`, its tokenizer and chat template; returns the folder."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    options = {**COMMON, **FAMILIES[family], **overrides}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(options.pop("model_type"), **options))
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:  # large enough weights that attention and soft caps matter
                torch.nn.init.normal_(parameter, std=0.3 if "embed" in name else 0.25)
    model.save_pretrained(folder)
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<end>",
        additional_special_tokens=["<eot>", "<system>", "<user>", "<assistant>"],
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder
