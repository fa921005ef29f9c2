"""The report as a browser shows it, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowdpo_pl.verbs.report import report
from tests.browser import CHROMIUM, Browser, browser
from tests.finished_runs import copied

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
_DRAWN = "document.querySelectorAll('.plot .main-svg').length > 0 && [...document.querySelectorAll('.plot')]"
_WIDE = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def pages(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of one run and of two; an agent's name is markup."""
    folder = tmp_path_factory.mktemp("runs")
    runs = [copied(finished_run, folder / name) for name in ("one", "two")]
    metrics = runs[1] / "metrics.csv"
    metrics.write_text(metrics.read_text("utf-8").replace("answer/", "<b>&amp;x</b>/"), encoding="utf-8")
    report([runs[0]], open=False)
    report(runs, output=folder / "both.html", open=False)
    return runs[0] / "report.html", folder / "both.html"


def colour_of(chromium: Browser, selector: str) -> str:
    return str(chromium.evaluate(f"getComputedStyle(document.querySelector('{selector}')).fill"))


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (390, False)])
def test_it_draws_without_a_complaint_or_a_request(
    chromium: Browser, pages: tuple[Path, Path], width: int, dark: bool
) -> None:
    chromium.look(width, 800, dark)
    for page in pages:
        chromium.open(page)
        chromium.until(
            _DRAWN + ".every((one) => one.closest('details:not([open])') || one.querySelector('svg'))"
        )
        assert chromium.complaints == []
        fetched = [one for one in chromium.requests if not one.startswith("data:")]
        assert fetched == [page.resolve().as_uri()]
        assert chromium.evaluate(_WIDE)
        assert chromium.evaluate("scrollY") == 0, "it opens at its beginning"


def test_charts_take_the_colours_of_dark_when_it_comes(chromium: Browser, pages: tuple[Path, Path]) -> None:
    chromium.look(1100, 800)
    chromium.open(pages[0])
    light = colour_of(chromium, ".xtitle")
    chromium.look(1100, 800, dark=True)
    chromium.until(f"getComputedStyle(document.querySelector('.xtitle')).fill !== '{light}'")
    assert light == "rgb(27, 31, 36)" and colour_of(chromium, ".xtitle") == "rgb(228, 231, 235)"


def test_a_run_that_is_folded_away_is_drawn_when_it_is_opened(
    chromium: Browser, pages: tuple[Path, Path]
) -> None:
    chromium.look(390, 800)
    chromium.open(pages[1])
    assert chromium.evaluate("document.querySelectorAll('#run-2 .plot svg').length") == 0
    chromium.click(".wide tr:nth-child(2) a")
    chromium.until("document.querySelectorAll('#run-2 .plot svg').length > 8")
    assert chromium.evaluate(_WIDE)
    names = "[...document.querySelectorAll('#run-2 .legendtext')].map((one) => one.textContent)"
    assert "<b>&amp;x</b>" in chromium.evaluate(names)
    assert not chromium.evaluate("document.querySelector('#run-2 .legendtext [style*=bold]')")
    assert chromium.complaints == []


def test_a_tree_opens_by_its_link_and_closes_where_it_was(
    chromium: Browser, pages: tuple[Path, Path]
) -> None:
    chromium.look(390, 800)
    chromium.open(pages[1], "#tree2-3")
    chromium.until("document.querySelector('#run-2').open")
    assert chromium.text("#run-2 .panel h2") == "Problem 3"
    before = chromium.evaluate("document.querySelector('#run-2 .back').scrollIntoView(), scrollY")
    assert before > 1000
    chromium.evaluate("document.querySelector('#run-2 .back').click()")
    chromium.until("!document.querySelector('#run-2 .opened')")
    assert chromium.evaluate("scrollY") > 1000
