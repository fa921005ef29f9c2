"""The words of an answer, as SQuAD compares them."""

from __future__ import annotations

import re
import string

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words_of(answer: str) -> list[str]:
    """The words in lower case, without punctuation and articles.

    Of an answer that is nothing else (`The`, `+`), the words as they stand in lower case.

    Source: `normalize_answer` of SQuAD's evaluation script (Rajpurkar et al., arXiv 1606.05250).
    """
    lower = answer.lower()
    return _ARTICLES.sub(" ", lower.translate(_PUNCTUATION)).split() or lower.split()
