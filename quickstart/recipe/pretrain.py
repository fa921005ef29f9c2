"""Makes the quickstart's model and its problems, from nothing: see the README beside this file.

Shapes: B dialogues, T tokens, V vocabulary.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from quickstart.recipe.dialogues import Dialogue, draw_dialogues
from quickstart.recipe.problems import write_problems
from quickstart.recipe.tokenizer import PAD_ID, build_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

NO_LOSS = -100
BATCHES_SORTED_TOGETHER = 32
TYPICAL_REPLY = 20
"""Tokens of a reply on average: the scale of the loss."""


def build_model(tokenizer: PreTrainedTokenizerFast, layers: int = 2) -> LlamaForCausalLM:
    """A Llama of about 0.3M parameters with random weights (seeded by the caller); 0.14M more a layer."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    ends = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.05,
        **ends,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=True, max_new_tokens=72, **ends)
    return model


def encode(dialogue: Dialogue, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], int]:
    """Token ids of the rendered dialogue, and how many of them are prompt (they bear no loss)."""
    turns = [{"role": "user", "content": dialogue.message}]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
    reply_ids = tokenizer.encode(dialogue.reply + tokenizer.eos_token, add_special_tokens=False)
    return prompt_ids + reply_ids, len(prompt_ids)


def draw_batches(
    dialogues: Iterator[Dialogue], tokenizer: PreTrainedTokenizerFast, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches [B, T] of ids, mask and labels; similar lengths share a batch to save padding."""
    shuffle = torch.Generator().manual_seed(seed)
    while True:
        pool = itertools.islice(dialogues, batch_size * BATCHES_SORTED_TOGETHER)
        rows = sorted((encode(dialogue, tokenizer) for dialogue in pool), key=lambda row: len(row[0]))
        for index in torch.randperm(BATCHES_SORTED_TOGETHER, generator=shuffle).tolist():
            yield collate(rows[index * batch_size : (index + 1) * batch_size])


def collate(rows: list[tuple[list[int], int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Right-padded ids, mask and labels, each [B, T]; labels are `NO_LOSS` on prompts and padding."""
    shape = (len(rows), max(len(ids) for ids, _ in rows))
    input_ids = torch.full(shape, PAD_ID)
    mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, NO_LOSS)
    for row, (ids, prompt_length) in enumerate(rows):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = 1
        labels[row, prompt_length : len(ids)] = torch.tensor(ids[prompt_length:])
    return input_ids, mask, labels


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How a model is trained."""

    steps: int
    batch_size: int
    """Dialogues a step."""
    learning_rate: float
    """Its peak, after a warm-up of 5 %."""
    seed: int
    """Of the weights and the order of batches."""
    layers: int = 2
    """Of the model."""


def pretrain(
    out: Path, dialogues: Iterator[Dialogue], tokenizer: PreTrainedTokenizerFast, how: Pretraining
) -> None:
    """Trains on the dialogues from random weights and saves a folder that `from_pretrained` loads."""
    torch.manual_seed(how.seed)
    model = build_model(tokenizer, how.layers)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=how.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    warm_up = max(1, how.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 0.5 * (1 + math.cos(math.pi * step / how.steps)))
    )
    started = time.monotonic()
    batches = itertools.islice(draw_batches(dialogues, tokenizer, how.batch_size, how.seed), how.steps)
    for step, (input_ids, mask, labels) in enumerate(batches, start=1):
        logits_BTV = model(input_ids=input_ids, attention_mask=mask).logits
        # A sum over a fixed number, not the batch's mean: batches are sorted by length, and a mean
        # would weigh the short, hasty replies more than the corpus does.
        total = functional.cross_entropy(
            logits_BTV[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=NO_LOSS, reduction="sum"
        )
        loss = total / (how.batch_size * TYPICAL_REPLY)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == how.steps:
            seconds = time.monotonic() - started
            print(f"step {step}/{how.steps}  loss {loss.item():.3f}  {seconds:.0f} s", flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def arguments(description: str | None, out: str, steps: int, batch_size: int) -> argparse.ArgumentParser:
    """The command line of a pretraining, with its defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of the model")
    parser.add_argument("--steps", type=int, default=steps, help="optimizer steps")
    parser.add_argument("--batch_size", type=int, default=batch_size, help="dialogues per step")
    parser.add_argument("--learning_rate", type=float, default=3e-3, help="peak, after a warm-up of 5 %%")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    return parser


def main() -> None:
    parser = arguments(__doc__, out="quickstart/model", steps=3000, batch_size=64)
    parser.add_argument("--problems", type=Path, default=Path("quickstart/problems"), help="their folder")
    args = parser.parse_args()
    write_problems(args.problems, args.seed)
    how = Pretraining(args.steps, args.batch_size, args.learning_rate, args.seed)
    pretrain(args.out, draw_dialogues(args.seed), build_tokenizer(), how)


if __name__ == "__main__":
    main()
