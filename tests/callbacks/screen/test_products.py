from __future__ import annotations

from pathlib import Path

import pytest

from callbacks.screen.products import print_products, quoted


def test_what_is_there_is_named_and_then_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / ("a" * 200)
    long.touch()
    print_products(tmp_path, [long.name, "absent"], [f"ask {quoted('my run')}", "test"])
    assert capsys.readouterr().out.splitlines() == [
        str(long),
        "next: python -m flowdpo_pl ask 'my run'",
        "or: python -m flowdpo_pl test",
    ]
    print_products(tmp_path, [])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kept", ["trees.jsonl", "predictions.jsonl"])
def test_what_can_be_looked_at_is_named_with_its_command(
    kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / kept).touch()
    print_products(folder, [], ["test"])
    assert capsys.readouterr().out.splitlines() == [
        f"look: python -m flowdpo_pl view '{folder}'",
        "next: python -m flowdpo_pl test",
    ]
