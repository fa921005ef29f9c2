"""Text to token ids such that no control token comes from data.

A tokenizer finds its added tokens (`<|im_end|>`, `<think>`, …) wherever their text stands, in a question as
in the chat template. Data are encoded as they always were; only where that finds other added tokens than
around neutral text does a second tokenizer take over: the same vocabulary and merges, but every control token
goes by a name that no data can hold, and the template's own stand in the text under these names. So the text
is still encoded in one go, with the merges and prefixes that it has in its place.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NEUTRAL = "x"  # data without any meaning to a tokenizer


def interleave(parts: Sequence[str], data: Sequence[str]) -> str:
    """`parts[0] data[0] parts[1] …`; there is one part more than data."""
    return "".join(chain.from_iterable(zip_longest(parts, data, fillvalue="")))


@dataclass(frozen=True)
class _Neutral:
    """Parts of a template as they are tokenised around neutral data."""

    controls: tuple[int, ...]
    """Their control tokens, in order."""
    named: tuple[str, ...]
    """The parts with control tokens under the names that data can't hold."""


class ControlTokens:
    """A tokenizer that reads control tokens in templates, never in data."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: Sequence[int]) -> None:
        """`end_ids`: tokens that end a turn, which are control tokens even where they are no added ones."""
        self._tokenizer = tokenizer
        names = {token: text for text, token in tokenizer.get_added_vocab().items()}
        special = set(tokenizer.all_special_ids)
        self._fast = bool(tokenizer.is_fast)
        self.ids: Mapping[int, str] = {
            token: text
            for token, text in names.items()
            if token in special or token in end_ids or not _ordinary(text)
        } | {token: str(tokenizer.convert_ids_to_tokens(token)) for token in end_ids if token not in names}
        """Text of each control token."""
        self._names = {token: f"<{secrets.randbits(128)}.{token}>" for token in self.ids}
        self._neutral: dict[tuple[str, ...], _Neutral] = {}

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids as the tokenizer finds them, control tokens included."""
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    def in_order(self, token_ids: Sequence[int]) -> tuple[int, ...]:
        """The control tokens among these."""
        return tuple(token for token in token_ids if token in self.ids)

    def encode_data(self, text: str) -> tuple[int, ...]:
        """Token ids of text that stands alone; it holds no control token."""
        return self.encode_around(("", ""), (text,))

    def encode_around(
        self, parts: Sequence[str], data: Sequence[str], rendered: str | None = None
    ) -> tuple[int, ...]:
        """Token ids of `parts[0] data[0] parts[1] …`, with the control tokens of the parts alone.

        Args:
            parts: the template's text, one more than data.
            data: text in which nothing is a control token.
            rendered: what the template made of these data, if that is not simply the two in turn; it is
                encoded as long as it holds the same control tokens.

        Raises:
            UserError: the data hold a control token and the tokenizer has no way to read it as text.
        """
        whole = self.encode(interleave(parts, data) if rendered is None else rendered)
        neutral = self._around_neutral(tuple(parts))
        if self.in_order(whole) == neutral.controls:
            return whole
        ids = self._encode_named(interleave(neutral.named, data))
        if found := set(self._foreign(ids, neutral.controls)) - {self._unknown}:
            raise UserError(
                f"{interleave(parts, data)[:80]!r} holds the control token {self.ids[min(found)]!r}, which "
                "this tokenizer can't read as text: leave that row out."
            )
        return ids

    def _foreign(self, ids: Sequence[int], expected: Sequence[int]) -> tuple[int, ...]:
        """Control tokens of `ids` if these are not the expected ones in order."""
        found = [token for token in self.in_order(ids) if token != self._unknown]
        wanted = [token for token in expected if token != self._unknown]
        return () if found == wanted else tuple(found)

    def _around_neutral(self, parts: tuple[str, ...]) -> _Neutral:
        if parts not in self._neutral:
            text = interleave(parts, [_NEUTRAL] * (len(parts) - 1))
            controls = self.in_order(self.encode(text))
            self._neutral[parts] = _Neutral(controls, self._named(parts, text) if controls else parts)
        return self._neutral[parts]

    def _named(self, parts: Sequence[str], text: str) -> tuple[str, ...]:
        """The parts, which `text` holds around neutral data, with every control token by its other name."""
        if not self._fast:
            return tuple(parts)
        read = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = [
            (begin, end, token)
            for token, (begin, end) in zip(read["input_ids"], read["offset_mapping"], strict=True)
            if token in self.ids and end > begin
        ]
        named, start = [], 0
        for part in parts:
            stop, pieces, place = start + len(part), [], start
            for begin, end, token in spans:
                if start <= begin < stop:
                    pieces += [text[place:begin], self._names[token]]
                    place = end
            named.append("".join([*pieces, text[place:stop]]))
            start = stop + len(_NEUTRAL)
        return tuple(named)

    def _encode_named(self, text: str) -> tuple[int, ...]:
        if not self._fast:
            # Python tokenizers know the special ones alone; what they leave is refused by the caller.
            read = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
            return tuple(read["input_ids"])
        tokenizer, own = self._renamed
        return tuple(own.get(token, token) for token in tokenizer.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _renamed(self) -> tuple[Any, dict[int, int]]:
        """The tokenizer in which control tokens have other names, and its ids to the real ones."""
        backend: Any = self._tokenizer.backend_tokenizer
        written = json.loads(backend.to_str())
        written |= {"truncation": None, "padding": None, "post_processor": None, "decoder": None}
        _rename_in_model(written["model"], self._names)
        renamed = {self.ids[token]: name for token, name in self._names.items()}
        known = {added["content"] for added in written["added_tokens"]}
        for added in written["added_tokens"]:
            if added["content"] in renamed:  # beside a letter too: where it stands has been decided
                added |= {"content": renamed[added["content"]], "single_word": False}
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        written["added_tokens"] += [
            {"id": token, "content": self._names[token], "special": True, **flags}
            for token, text in self.ids.items()
            if text not in known
        ]
        tokenizer = type(backend).from_str(json.dumps(written))
        own = {tokenizer.token_to_id(name): token for token, name in self._names.items()}
        return tokenizer, {theirs: ours for theirs, ours in own.items() if theirs not in (None, ours)}

    @cached_property
    def _unknown(self) -> int | None:
        """What stands for characters that the vocabulary lacks: data may hold it."""
        unknown: int | None = self._tokenizer.unk_token_id
        return unknown


def _ordinary(text: str) -> bool:
    """Whether an added token is ordinary text kept whole: white space (a blank line), or one character."""
    return len(text) == 1 or not text.replace("\u2581", " ").strip()


def _rename_in_model(model: dict[str, Any], names: Mapping[int, str]) -> None:
    """Take pieces out of a tokenizer's model, so that no merge makes them; their ids go by the names."""
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):  # Unigram: pieces with their scores, an id a place
        model["vocab"] = [[names.get(token, piece), score] for token, (piece, score) in enumerate(vocabulary)]
    elif isinstance(vocabulary, dict):
        renamed = {piece: names[token] for piece, token in vocabulary.items() if token in names}
        model["vocab"] = {renamed.get(piece, piece): token for piece, token in vocabulary.items()}
        if renamed and model.get("merges"):
            pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
            gone = renamed.keys()
            model["merges"] = [[a, b] for a, b in pairs if not gone & {a, b, a + b}]
        if model.get("unk_token") in renamed:
            model["unk_token"] = renamed[model["unk_token"]]
