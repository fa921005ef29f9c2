"""docs/verbs.md has every verb and the README's commands; `tests/test_snippets.py` runs them."""

from __future__ import annotations

import re
import shlex

from tests.runs import ROOT


def commands(page: str = "docs/verbs.md") -> list[list[str]]:
    """The words of every command of a page that is none of `make`, as a shell reads them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = "".join(text for language, text in blocks if not language).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def test_the_page_has_every_verb_but_those_for_a_file_of_one_s_own() -> None:
    found = commands()
    assert {words[3] for words in found} >= {
        "fit",
        "validate",
        "predict",
        "test",
        "view",
        "show",
        "report",
        "ask",
        "pairs",
        "compare",
        "export",
        "study",
    }
    assert all(words[:3] == ["python", "-m", "flowdpo_pl"] for words in found)


def test_the_readme_fits_on_a_few_screens_and_its_commands_are_among_them() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    shown = [shlex.split(line) for line in text.splitlines() if line.startswith("python -m flowdpo_pl ")]
    assert shown and all(words in commands() for words in shown)


def test_make_quickstart_is_the_first_of_them() -> None:
    first = commands()[0]
    made = re.search(
        r"^quickstart:.*\n\t(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert made is not None and shlex.split(made[1])[1:] == first[1:]
