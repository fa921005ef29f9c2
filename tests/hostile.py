"""Texts that a page, its JSON or a terminal might obey, and what can be read of them then."""

from __future__ import annotations

HOSTILE = {
    "</script><script>document.title = 'owned'</script>": None,
    "<!-- <script> <b>bold</b> &lt;i&gt; &amp;": None,
    "<img src=x onerror=\"document.title='owned'\">": None,
    "{} {0} %s ${document.title} ' \" \\ `": None,
    "one\u2028two\u2029three": "one\\u2028two\\u2029three",
    "\u202eright to left\u202c \u2066isolate\u2069": "\\u202eright to left\\u202c \\u2066isolate\\u2069",
    "\x1b[31mred\x07\x00\x85\x9b\x7f": "\\x1b[31mred\\x07\\x00\\x85\\x9b\\x7f",
    "half \ud800 of a character": "half \\ud800 of a character",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u4f60\u597d e\u0301": None,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467": None,
}
"""Each with how it is shown; None: as it is."""
READABLE = [shown or text for text, shown in HOSTILE.items()]
