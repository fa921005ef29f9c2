"""Code blocks of docs that are parts of files: `python -m tests.included` brings them up to date.

`<!-- examples/flow.py: turn -->` above a block says whence: from the comment `# part: turn` to the next one.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- ([\w/.]+): (\w+) -->\n```\w*\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE)


def refreshed(page: str) -> str:
    """The page with the blocks as the files have them."""
    return BLOCK.sub(lambda block: block[1] + part_of(ROOT / block[2], block[3]) + block[5], page)


def part_of(file: Path, name: str) -> str:
    """
    Raises:
        KeyError: the file has no such part.
    """
    pieces = re.split(r"^ *# part: (\w+)\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))[name].strip("\n") + "\n"


if __name__ == "__main__":
    for path in (ROOT / "docs").glob("*.md"):
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")
