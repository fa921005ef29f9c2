"""Cuts what holds no answer out of a model's text: a reasoning model's thoughts, and what is endless."""

from __future__ import annotations

import re

_TAG = re.compile(
    r"<(?P<close>/)?(?:antml:|seed:)?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis)>"
    r"|\[(?P<bracket_close>/)?THINK\]|◁(?P<kimi_close>/)?think▷"  # Magistral, Kimi
    r"|<\|(?:begin|(?P<end>end))_of_(?:thought|thinking)\|>|<\|(?P<bar>/)?think(?:ing)?\|>|<\|(?P<over>end)_think\|>"
    r"|<\|channel\|>(?P<channel>[a-z]+)[^<]*<\|message\|>"  # gpt-oss: all channels but `final` are thoughts
    r"|<unused9(?:4|(?P<unused>5))>",
    re.IGNORECASE,
)
LONGEST_TEXT = 100_000
"""Characters, some 25,000 tokens, of which the last hold the answer: reading a megabyte takes seconds."""
_CLOSES = ("close", "bracket_close", "kimi_close", "end", "bar", "over", "unused")


def without_reasoning(text: str) -> str:
    """`text` without the spans between the tags of thoughts (`<think>`, `<|begin_of_thought|>` and the like).

    What follows a tag that is never closed is thought; so is all before a closing tag that nothing opened,
    since a prompt may hold the opening one.
    """
    kept: list[str] = []
    opened, position = False, 0
    for tag in _TAG.finditer(text):
        if not opened:
            kept.append(text[position : tag.start()])
        closing = any(tag[name] for name in _CLOSES) or (tag["channel"] or "").lower() == "final"
        if closing and not opened:
            kept.clear()
        opened, position = not closing, tag.end()
    return text if position == 0 else "".join(kept) + ("" if opened else text[position:])


def final_part(text: str) -> str:
    """Where an answer is looked for: the end of `text`, without thoughts."""
    return without_reasoning(text)[-LONGEST_TEXT:]
