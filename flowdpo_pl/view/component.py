"""The component that shows problems: style, script and data, to stand in a page of one's own.

A page has the style and the script once, and `part` for each run that it shows; links to a problem are then
`#name-29` (`#29` where the name is empty). Nothing is fetched, what models and data say reaches the page as
text alone, and what the policy allows is exactly these styles and scripts.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from importlib.resources import files

from flowdpo_pl.view.problems import Problems
from flowdpo_pl.view.selection import Selected, safe_json

_SCRIPTS = (
    "text",
    "search",
    "drawing",
    "verdicts",
    "tree_panel",
    "answers_panel",
    "problem_list",
    "component",
)
"""In the order in which each needs those before it."""


def style() -> str:
    """CSS of the component; every rule stands below its class."""
    return _part("component.css")


def script() -> str:
    """JavaScript of the component, which begins at every part of the page; it defines no global name."""
    parts = "\n".join(_part(f"{name}.js") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();'


def data(problems: Problems, chosen: Selected, title: str) -> str:
    """JSON that the script reads, fit to stand in a script's element.

    Args:
        problems: of the run, which `chosen` has read.
        chosen: those that are shown.
        title: over the list.
    """
    head = {"kind": problems.kind, "title": title, "told": chosen.told, "of": chosen.of, **problems.told()}
    return f'{safe_json(head)[:-1]},"problems":[{",".join(chosen.rows)}]}}'


def part(name: str, json: str) -> str:
    """HTML of one place where problems are shown.

    Args:
        name: what links to its problems begin with; empty for the only one of a page, which it then fills.
        json: what `data` has made.
    """
    place = f"flow-problems-{escape(name)}"
    return (
        f'<section class="flow-view" data-problems="{place}" data-name="{escape(name)}"></section>\n'
        f'<script type="application/json" id="{place}">{json}</script>\n'
    )


def policy(styles: Iterable[str], scripts: Iterable[str]) -> str:
    """A content-security policy that allows these elements' contents and nothing else."""
    return (
        f"default-src 'none'; style-src {_hashes(styles)}; script-src {_hashes(scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hashes(texts: Iterable[str]) -> str:
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)


def _part(name: str) -> str:
    return (files("flowdpo_pl.view") / "parts" / name).read_text(encoding="utf-8")
