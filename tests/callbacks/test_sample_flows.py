from pathlib import Path

import pytest

from callbacks import SampleFlows
from callbacks.sample_flows import print_samples, samples_as_markdown
from tests.callbacks.playing import fit, validate
from tests.example_trees import NO, YES, choice, main_only, random_tree, written

TREE = main_only(
    True, written("two [and] "), choice(NO), written("two is ~~~ 4"), choice(YES), gold="4", name="[x]"
)


def test_samples_are_written_at_their_pace(tmp_path: Path) -> None:
    fit(tmp_path, SampleFlows(n=2, every_n_problems=8))
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "problems_000008.md",
        "problems_000016.md",
    ]
    page = (tmp_path / "samples" / "problems_000008.md").read_text()
    assert page == samples_as_markdown([random_tree(4), random_tree(5)], 8)


def test_validate_writes_them_too(tmp_path: Path) -> None:
    validate(tmp_path, SampleFlows(every_n_problems=16))
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["problems_000016.md"]


def test_a_page_holds_the_flow_as_it_was_said() -> None:
    page = samples_as_markdown([TREE], 160)
    parts = (
        "question [x]",
        "**answer** writes:",
        "two [and] ",
        "**stop** chooses `No`",
        "two is ~~~ 4",
        "**stop** chooses `Yes`",
        "`4` (right), gold: `4`",
    )
    positions = [page.index(part) for part in parts]
    assert positions == sorted(positions)


def test_brackets_are_printed_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    print_samples([TREE], 160)
    printed = capsys.readouterr().out
    assert "[and]" in printed and "stop: Yes" in printed and "[x]" in printed


def test_it_says_who_wrote_and_who_chose_in_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_samples([TREE], 160)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert rows[1:] == [
        ["answer", "two [and]", "stop: No"],
        ["answer", "two is ~~~ 4", "stop: Yes"],
        ["judged", "4, gold 4", "right"],
    ]


def test_no_text_steers_the_terminal_or_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J\x1b]0;title\x07\r\u202e [bold]~~~~~~\n```"
    tree = main_only(True, written(evil), choice(YES), gold="`4`", name=evil)
    print_samples([tree], 160)
    page = samples_as_markdown([tree], 160)
    for shown in (capsys.readouterr().out, page):
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(shown)
        assert "\\x1b[2J" in shown and "[bold]" in shown
    assert "\n~~~~~~~text\n" in page, "a longer fence than any in the text"
    assert "gold: `` `4` ``" in page
