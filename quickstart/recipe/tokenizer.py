"""A word-level tokenizer: one token for each word, number and sign of the world.

Word-level, because token ids of an answer go verbatim between a prefix and a suffix: no merge can
ever cross the seams. Whole numbers, because the decoded text must read "42", not "4 2".
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from quickstart.recipe import world
from quickstart.recipe.dialogues import ANSWER_MESSAGE, STOP_MESSAGE, VERDICTS
from quickstart.recipe.solutions import draw_solution

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, BEGIN, END, USER, ASSISTANT = (
    "<|pad|>",
    "<|unknown|>",
    "<|begin|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
)
SPECIAL_TOKENS = [PAD, UNKNOWN, BEGIN, END, USER, ASSISTANT]
PAD_ID = SPECIAL_TOKENS.index(PAD)
CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}"
    "{% for message in messages %}"
    "{% if message['role'] not in ['user', 'assistant'] %}"
    "{{ raise_exception('this model knows the roles user and assistant only') }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def vocabulary() -> list[str]:
    """The tokens of `quickstart/model`, in the order of their ids."""
    rng = random.Random(0)
    stories = [world.draw_story(rng) for _ in range(4000)]
    texts = [ANSWER_MESSAGE, STOP_MESSAGE, *VERDICTS]
    texts += [text for story in stories for text in (story.question, draw_solution(story, rng))]
    return tokens_of(texts)


def tokens_of(texts: Iterable[str]) -> list[str]:
    """Every token in the order of its id: special tokens, numbers, then words and signs by alphabet.

    `texts` may be templates: their {places} are no words.
    """
    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]+", re.sub(r"{\w+}", " ", text))}
    numbers = [str(number) for number in range(world.LARGEST_NUMBER + 1)]
    return [*SPECIAL_TOKENS, *numbers, *sorted(words - set(numbers))]


def build_tokenizer(tokens: Sequence[str] | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of these tokens (by default `vocabulary`) with its chat template, ready to be saved."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {token: index for index, token in enumerate(tokens or vocabulary())}
    words = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.decoder = decoders.WordPiece(cleanup=True)  # joins by spaces, none before . and ?
    words.add_special_tokens(SPECIAL_TOKENS)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        model_max_length=512,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
