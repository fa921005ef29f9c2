"""Every text is escaped, unless it is HTML already. Also tests `report.chart`."""

from __future__ import annotations

import html
import json
import re

import pytest

from flowdpo_pl.report.chart import Chart, bars, line
from flowdpo_pl.report.markup import joined, table, tag
from flowdpo_pl.visible import visible
from tests.hostile import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_stay_texts(text: str) -> None:
    made = tag("p", tag("b", text), text, title=text)
    found = re.fullmatch(r'<p title="([^"]*)"><b>([^<>]*)</b>([^<>]*)</p>', made)
    assert found is not None
    assert [html.unescape(one) for one in found.groups()] == [visible(text)] * 3
    assert "<script" not in table([text], [[text]]) and "<img" not in joined([text, text], text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_chart_reads_a_name_as_it_stands(text: str) -> None:
    """Plotly obeys some tags and decodes entities."""
    for trace in (line([1], [2], text, "var(--first)", ""), bars([1], [1], [2], text, "var(--first)", "")):
        assert "<" not in trace["name"] and html.unescape(trace["name"]) == visible(text)
    made = Chart(text, text, [line([1], [2], text, "red", "")]).html("one")
    assert made.count("<script") == 1 and made.count("</script") == 1 and "<img" not in made
    content = made.partition('id="one">')[2].partition("</script>")[0]
    assert json.loads(content)["data"][0]["x"] == [1]
