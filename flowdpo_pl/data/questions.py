"""When two texts ask the same question: one answer for every place that keeps problems apart or together.

Train and test, duplicates, rewrites of a seed, arms and paired runs: all go by `same_question`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

_PLAIN = {
    "'": "\u2018\u2019\u201a\u201b\u2032\u00b4`",
    '"': "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2212",
}
"""Quotes, primes and dashes that are typed as one."""
_MARKS = str.maketrans({mark: plain for plain, marks in _PLAIN.items() for mark in marks})
_MEANT = {"<super>", "<sub>", "<fraction>", "<circle>"}
"""Unicode's compatibility forms that say something else than their plain letters: 2² is not 22."""
_BEFORE_MARK = re.compile(r"\s+(?=[.,;:?!](?:\s|$))")
_LAST_MARKS = " .?。؟…"  # not !, which may be a factorial


def same_question(a: str, b: str) -> bool:
    """Whether a reader takes both texts for one question.

    They may differ in spaces and line ends, case, Unicode form, forms of quotes and dashes, invisible
    characters, and in the full stops and question marks at the end.
    """
    return a == b or canonical(a) == canonical(b)


def question_key(question: str) -> str:
    """Equal for texts that ask the same question: `content_id` of the canonical form."""
    return content_id(canonical(question))


def content_id(text: str) -> str:
    """An id that depends on the text alone: 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


@lru_cache(2**12)
def canonical(question: str) -> str:
    """The question without what makes no difference to a reader; of marks alone, these marks."""
    text = question
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        text = "".join(map(_plain, text))
        text = unicodedata.normalize("NFC", text)
    text = _BEFORE_MARK.sub("", " ".join(text.translate(_MARKS).split()).casefold())
    return text.rstrip(_LAST_MARKS) or text


def _plain(character: str) -> str:
    """The character in its plain form; nothing of one that is not seen."""
    if character.isascii():
        return character
    if unicodedata.category(character) == "Cf":
        return ""
    kind = unicodedata.decomposition(character).partition(" ")[0]
    known = kind.startswith("<") and kind not in _MEANT
    return unicodedata.normalize("NFKC", character) if known else character
