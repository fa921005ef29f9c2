"""Text of data in a table of Markdown is text: it ends no cell, and is no tag, link or picture."""

from __future__ import annotations

import pytest

from flowdpo_pl.report.markdown import cells_of, literal, table
from flowdpo_pl.visible import visible_line
from tests.hostile import HOSTILE

TEXTS = [
    *HOSTILE,
    *(
        "a|b",
        "|",
        "\\",
        "\\|",
        "a\\\\|b\\",
        "<img src=//x>",
        "![p](//x)",
        "[a](javascript:x)",
        "`",
        "a *b* _c_",
    ),
    *("one\ntwo\r\n\n| three |", "&lt;", "a & b", "x < 5", "flow - self, op_count 3", "\\frac{1}{2}", ""),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_row_has_its_cells_and_gives_the_texts_back(text: str) -> None:
    made = table(["a", literal(text)], [[literal(text), "1"], ["x", literal(text)]])
    assert [cells_of(line) for line in made.splitlines()] == [
        ["a", visible_line(text).strip()],
        ["---", "---"],
        [visible_line(text).strip(), "1"],
        ["x", visible_line(text).strip()],
    ]


def test_what_markdown_would_obey_has_a_backslash_and_the_rest_stays_as_it_is() -> None:
    assert literal("<b> [a](b) `c` *d* &amp; | \\") == r"\<b> \[a](b) \`c\` \*d\* \&amp; \| \\"
    for plain in ("flow - self, op_count 3", "12.5 (-5.0 to +30.0), p = 0.062", "a & b", "100 %"):
        assert literal(plain) == plain
    assert literal("one\n\x1b[31mtwo") == r"one\\n\\x1b\[31mtwo"


def test_cells_that_are_markdown_keep_it_but_for_bars_and_line_breaks() -> None:
    assert table(["a"], [["`x|y` [b](c)\nd"], [r"e\|f"]]).splitlines()[2:] == [
        r"| `x\|y` [b](c) d |",
        r"| e\|f |",
    ]
