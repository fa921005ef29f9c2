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
        "two [and] ",
        "stop: **No**",
        "two is ~~~ 4",
        "stop: **Yes**",
        "`4 (right)`, gold: `4`",
    )
    positions = [page.index(part) for part in parts]
    assert positions == sorted(positions)


def test_brackets_are_printed_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    print_samples([TREE], 160)
    printed = capsys.readouterr().out
    assert "[and]" in printed and "[Yes]" in printed and "[x]" in printed
