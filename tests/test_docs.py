"""The docs hold together: every page is found, every link leads somewhere, every public name is explained."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import callbacks
import flowdpo_pl
from tests.runs import ROOT

DOCS = ROOT / "docs"
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
PAGES = sorted(DOCS.rglob("*.md"))
WITH_LINKS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]


def in_navigation(entry: object) -> Iterator[str]:
    """The pages below an entry: titles with a page, or with a list of entries."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for below in entry.values():
            yield from in_navigation(below)
    elif isinstance(entry, list):
        for below in entry:
            yield from in_navigation(below)


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    text = re.sub(r"^(```+|~~~+).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = [
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    ]
    slugs = [re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles]
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for slug in slugs:
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(page: Path) -> Iterator[str]:
    """Targets in prose; those in code are no links."""
    text = re.sub(r"^(```+|~~~+).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "`", text)
    yield from (target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target)


def test_every_page_is_in_the_navigation_and_no_other() -> None:
    named = list(in_navigation(SITE["nav"]))
    assert sorted(named) == [str(page.relative_to(DOCS)) for page in PAGES], "zensical.toml: project.nav"


@pytest.mark.parametrize("page", WITH_LINKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}: of {sorted(anchors(target))}"


def test_anchors_are_github_s(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "# A `fit`, by hand\n## Play: trees (`play/x.py`)\n## Play\n```\n# no\n```\n## Play\n"
    )
    assert anchors(tmp_path / "page.md") == {"a-fit-by-hand", "play-trees-playxpy", "play", "play-1"}


def test_every_public_name_is_explained_once() -> None:
    api = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    named = re.findall(r"^::: ([\w.]+)$", api, re.MULTILINE)
    assert sorted(named) == sorted(
        [f"flowdpo_pl.{name}" for name in flowdpo_pl.__all__]
        + [f"callbacks.{name}" for name in callbacks.__all__]
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it, from a copy."""
    for tool in ("zensical", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(tool)
    copy = tmp_path_factory.mktemp("docs")
    for name in ("docs", "docs_site", "flowdpo_pl", "callbacks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "zensical.toml", copy)
    build = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(build, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "site"


def test_the_site_asks_no_other_machine(site: Path) -> None:
    built = {str(page.relative_to(site).with_suffix(".md")) for page in site.rglob("*.html")}
    assert built == {str(page.relative_to(DOCS)) for page in PAGES} | {"404.md"}
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(https?:[^\s\">]+)", text)
        assert not loaded, page
    for sheet in [*site.rglob("*.css")]:
        assert not re.findall(r"(?:@import|url\()\s*[\"']?https?:", sheet.read_text(encoding="utf-8")), sheet


def test_formulas_are_mathml(site: Path) -> None:
    text = (site / "method.html").read_text(encoding="utf-8")
    fences = re.findall(r"^```math$", (DOCS / "method.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert text.count('<div class="formula"><math') == len(fences)
    assert "<math" in re.sub(r'<div class="formula">.*?</div>', "", text, flags=re.DOTALL)
    words = re.sub(r"<(code|pre|annotation)\b.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.findall(r"\$[^$<]{1,80}\$|\\(?:frac|log|sigma|pi)\b", words)


def test_links_that_leave_the_docs_are_words(site: Path) -> None:
    text = (site / "flows.html").read_text(encoding="utf-8")
    assert 'title="examples/flow.py, in the repository"' in text
    assert not re.findall(r'href="[^"]*examples/', text)
