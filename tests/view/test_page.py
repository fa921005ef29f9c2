"""A page is one file that fetches nothing and runs nothing but its own script.

Also tests `view.component` and `view.kept_problems`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.view.component import data, part, policy, script, style
from flowdpo_pl.view.kept_problems import kept_problems
from flowdpo_pl.view.page import page
from flowdpo_pl.view.selection import Selection, selected
from flowdpo_pl.visible import visible
from tests.example_trees import path, random_tree, written
from tests.hostile import HOSTILE, READABLE
from tests.tree_files import write_trees


class Elements(HTMLParser):
    """Names, attributes and contents of a page's elements, as a browser takes them apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.contents: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.contents.append("")
        self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.contents[-1] += data

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        both = zip(self.found, self.contents, strict=True)
        return [(attributes, content) for (name, attributes), content in both if name == tag]


def page_of(folder: Path, title: str = "runs/x") -> str:
    problems = kept_problems(folder)
    return page(problems, selected(problems, Selection()), title)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    trees = []
    for number, text in enumerate(HOSTILE):
        tree = random_tree(number)
        main = path([replace(written("w"), text=text)], True)
        problem = replace(tree.problem, question=text, gold=text, id=text, labels=((text, text),))
        trees.append(replace(tree, problem=problem, main=main, forks=(), nodes_without_alternative=()))
    return write_trees(tmp_path / "hostile", trees)


def test_hostile_texts_stay_texts(hostile: Path) -> None:
    text = page_of(hostile, title="</title><script>x</script>")
    text.encode()
    elements = Elements(text)
    names = [name for name, _ in elements.found]
    assert names.count("script") == 2 and names.count("style") == 1
    assert not {"img", "b", "iframe", "link"} & set(names)
    assert elements.of("title")[0][1] == "</title><script>x</script>"
    (attributes, content), (_, run) = elements.of("script")
    assert attributes["type"] == "application/json" and run == script()
    told: dict[str, Any] = json.loads(content)
    assert [one["question"] for one in told["problems"]] == READABLE == [visible(text) for text in HOSTILE]
    assert [one["moves"][0][1] for one in told["problems"]] == READABLE


def test_the_policy_allows_this_style_and_this_script_alone(hostile: Path) -> None:
    elements = Elements(page_of(hostile))
    (told,) = (
        a["content"] for a, _ in elements.of("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert told is not None and told.startswith("default-src 'none'; ") and "unsafe" not in told
    for kind, content in (("style", elements.of("style")[0][1]), ("script", elements.of("script")[1][1])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in told
    assert policy(["a", "b"], []).count("sha256") == 2


def test_nothing_is_fetched_and_no_text_becomes_markup() -> None:
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", style() + script())
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", script())
    assert "</" not in script() + style()


def test_every_rule_is_the_component_s_own() -> None:
    """So that it may stand in another page."""
    css = re.sub(r"@keyframes[^{]*\{[^}]*\}\s*\}", "", style())
    rules = re.findall(r"([^{};]+)\{", re.sub(r"@media[^{]*\{", "", css))
    assert len(rules) > 50
    assert not [rule.strip() for rule in rules if ".flow-view" not in rule]


def test_parts_of_one_page_have_their_names(tmp_path: Path) -> None:
    problems = kept_problems(write_trees(tmp_path, [random_tree(0)]))
    json_text = data(problems, selected(problems, Selection()), "a")
    elements = Elements(part("one", json_text) + part("two", json_text))
    places = [a for a, _ in elements.of("section")]
    assert [a["data-name"] for a in places] == ["one", "two"]
    assert [a["data-problems"] for a in places] == [a["id"] for a, _ in elements.of("script")]


def test_a_run_without_trees_yet_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "trees.jsonl").touch()
    (_, content), _ = Elements(page_of(tmp_path)).of("script")
    assert json.loads(content) == {
        "kind": "trees", "title": "runs/x", "told": "0 of 0 problems", "of": 0, "agents": [], "problems": [],
    }  # fmt: skip
