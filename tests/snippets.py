"""Commands and Python that the docs show: `python -m tests.snippets` writes at a page's foot how many run.

A block is run as it stands, in the order of its page, with fewer problems (`SMALLER`). Comments above it say
what else there is to know:

    <!-- file: shop/words.py -->        the block is that file
    <!-- first: python -m … -->         a command that the reader has run before
    <!-- parsed: it takes an hour -->   only its arguments are read
    <!-- not run: it needs a GPU -->    and why
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROGRAM = ("python", "-m", "flowdpo_pl")
SMALLER = {
    r"fit (?!.*sft)": "--model.max_problems=16",
    r"fit (?!.*--ckpt_path)": "--overwrite=true",
    r"validate ": "--data.validation.limit=16",
    r"test ": "--data.test.limit=16",
    r"predict ": "--data.predict.limit=16",
}
"""What a command of ours gets behind its text."""
NOT_OURS = ("make", "pip")
"""What is never run: its target, or nothing, is looked up."""
SHELLS = ("", "bash", "console")

_FENCE = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NOTE = re.compile(r"^<!-- (file|first|parsed|not run): (.*) -->$", re.MULTILINE)
_INCLUDED = re.compile(r"^<!-- [\w/]+\.\w+: \w+ -->$", re.MULTILINE)
_COMMAND = re.compile(r"^(?:\w+=\S+ )*(?:\S*/)?(?:python|make|pip|git|cd|export) ")
_FOOT = re.compile(r"\n<p class=\"tested\">.*?</p>\n", re.DOTALL)
_IS = {"run": "run in tests", "parsed": "parsed there", "not run": "not run"}


@dataclass(frozen=True)
class Snippet:
    """A block of a page, with the notes above it."""

    language: str
    text: str
    notes: list[tuple[str, str]]
    """Kind and words of each, in their order."""
    included: bool
    """Part of an example, whose own test runs it."""

    @property
    def commands(self) -> list[str]:
        """One a line; what is shown between them is their output."""
        if self.language not in SHELLS:
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.removeprefix("$ ") for line in lines if _COMMAND.match(line.removeprefix("$ "))]

    @property
    def counts(self) -> bool:
        return bool(self.commands) or self.language == "python"

    @property
    def how(self) -> str:
        """`run`, `parsed` or `not run`."""
        kinds = {kind for kind, _ in self.notes}
        if "not run" in kinds:
            return "not run"
        only_parsed = "parsed" in kinds or any(words(line)[0] in NOT_OURS for line in self.commands)
        return "parsed" if only_parsed else "run"


def snippets(page: str) -> list[Snippet]:
    """The blocks of a page that are shown to be used, files included."""
    return [
        Snippet(fence[2], fence[3], _NOTE.findall(fence[1]), bool(_INCLUDED.search(fence[1])))
        for fence in _FENCE.finditer(page)
    ]


def words(command: str) -> list[str]:
    """As a shell reads them, variables in front and all."""
    return shlex.split(command, comments=True)


def steps(page: str) -> Iterator[dict[str, str | list[str]]]:
    """What `tests.forked` does for a page: `file` and `text`, `code`, or `words` of a command."""
    found = snippets(page)
    files = {said: snippet.text for snippet in found for kind, said in snippet.notes if kind == "file"}
    yield from ({"file": file, "text": text} for file, text in files.items())
    for snippet in found:
        yield from ({"words": smaller(words(said))} for kind, said in snippet.notes if kind == "first")
        if snippet.how == "not run" or snippet.included or snippet.text in files.values():
            continue
        if snippet.language == "python":
            yield {"code": snippet.text}
        for command in snippet.commands:
            given = words(command)
            if given[0] == "make":
                yield {"target": given[1]}
            elif given[0] == "pip":
                continue
            else:
                yield {"words": parsed(given) if snippet.how == "parsed" else smaller(given)}


def smaller(given: list[str]) -> list[str]:
    ours = " ".join(given).partition(" ".join(PROGRAM) + " ")[2]
    return given + [more for pattern, more in SMALLER.items() if re.match(pattern, ours)]


def parsed(given: list[str]) -> list[str]:
    """The command such that it ends once its arguments are read."""
    return [*given, "--dry_run=true" if given[3] == "study" else "--print_config"]


def with_foot(page: str) -> str:
    """The page with how many of its blocks are run, as its last line; none where it has no such block."""
    body = _FOOT.sub("", page).rstrip("\n") + "\n"
    counted = [snippet for snippet in snippets(body) if snippet.counts]
    if not counted:
        return body
    found = Counter(snippet.how for snippet in counted)
    said = ", ".join(f"{found[how]} {phrase}" for how, phrase in _IS.items() if found[how])
    why = sorted({reason for s in counted for how, reason in s.notes if how in ("parsed", "not run")})
    told = f" ({'; '.join(why)})" if why else ""
    return f'{body}\n<p class="tested">Of {len(counted)} blocks of commands and Python: {said}{told}.</p>\n'


if __name__ == "__main__":
    for path in DOCS.rglob("*.md"):
        path.write_text(with_foot(path.read_text(encoding="utf-8")), encoding="utf-8")
