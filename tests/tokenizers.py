"""Small tokenizers of the kinds that models come with, each with added tokens of every sort."""

from __future__ import annotations

from collections.abc import Callable

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

TEMPLATE = (
    "{% for m in messages %}<|begin|>{{ m['role'] }}\n{{ m['content'] | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|begin|>assistant\n{% endif %}"
)
ADDED = [
    AddedToken("<|begin|>", special=True, normalized=False),
    AddedToken("<|end|>", special=True, normalized=False),
    AddedToken("<think>", special=False, normalized=False),
    AddedToken("</think>", special=False, normalized=True),
    AddedToken("<left>", special=True, normalized=False, lstrip=True),
    AddedToken("<right>", special=True, normalized=False, rstrip=True),
    AddedToken("[both]", special=False, normalized=True, lstrip=True, rstrip=True),
    AddedToken("<word>", special=False, normalized=False, single_word=True),
    AddedToken("tool", special=False, normalized=True),
]
CONTROLS = [added.content for added in ADDED]
_TEXT = "Yes No What is 2 + 40 ? the answer so far user assistant system finished 1 3 5 6 7 8 9"


def _finished(tokenizer: Tokenizer, unknown: str | None = None) -> PreTrainedTokenizerFast:
    tokenizer.add_tokens(ADDED)
    tokenizer.add_tokens([AddedToken("\n\n", special=False, normalized=False)])  # ordinary text kept whole
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", unk_token=unknown)
    fast.chat_template = TEMPLATE
    return fast


def _merged(words: list[str], alphabet: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary with these words and the merges that build each from its left."""
    vocabulary = {piece: number for number, piece in enumerate(alphabet)}
    merges = []
    for word in words:
        for length in range(2, len(word) + 1):
            if (piece := word[:length]) not in vocabulary:
                vocabulary[piece] = len(vocabulary)
                merges.append((word[: length - 1], word[length - 1]))
    return vocabulary, merges


def byte_level(
    ignore_merges: bool = False, normalizer: normalizers.Normalizer | None = None
) -> PreTrainedTokenizerFast:
    """As Llama 3 and Qwen: every byte is a piece."""
    words = [word for plain in _TEXT.split() for word in (plain, "\u0120" + plain)]
    vocabulary, merges = _merged(words, sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _finished(tokenizer)


def with_merged_controls() -> PreTrainedTokenizerFast:
    """As Gemma: control tokens are pieces of the vocabulary, and here merges even build them."""
    words = [*CONTROLS, "\n\n", *(word for plain in _TEXT.split() for word in (plain, "\u2581" + plain))]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = sorted(set("".join(words)) | set(map(chr, range(33, 127))))
    vocabulary, merges = _merged(words, ["<unk>", *bytes_, *letters])
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _finished(tokenizer, "<unk>")


def metaspace(scheme: str) -> PreTrainedTokenizerFast:
    """As Llama 2: a dummy prefix before the text or before each part of it."""
    words = [word for plain in _TEXT.split() for word in (plain, "\u2581" + plain)]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = sorted(set("".join(words)) | set(map(chr, range(33, 127))))
    vocabulary, merges = _merged(words, ["<unk>", *bytes_, *letters])
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _finished(tokenizer, "<unk>")


def unigram() -> PreTrainedTokenizerFast:
    """As T5 and XLNet: pieces with scores, control tokens among them."""
    words = [word for plain in _TEXT.split() for word in (plain, "\u2581" + plain)]
    letters = sorted(set("\u2581\n") | set(map(chr, range(33, 127))))
    pieces = ["<unk>", *CONTROLS, *letters, *words]
    tokenizer = Tokenizer(
        models.Unigram([(piece, -float(1 + (len(piece) == 1))) for piece in dict.fromkeys(pieces)], unk_id=0)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.Fuse()])
    return _finished(tokenizer, "<unk>")


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "byte-level": byte_level,
    "byte-level, whole words first": lambda: byte_level(ignore_merges=True),
    "byte-level, normalised": lambda: byte_level(normalizer=normalizers.NFKC()),
    "merges that build control tokens": with_merged_controls,
    "a dummy prefix at the start": lambda: metaspace("first"),
    "a dummy prefix everywhere": lambda: metaspace("always"),
    "unigram": unigram,
}
