"""The mark of a stage is read back as written; one of another form is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.verbs.stage_mark import StageMark, read_stage_mark, write_stage_mark
from tests.mutants import mutants

MARK = StageMark("f", True, 12.5, ["python", "-m", "flowdpo_pl"])


def test_a_mark_is_read_back_and_an_older_one_may_say_less(tmp_path: Path) -> None:
    assert read_stage_mark(tmp_path) is None
    write_stage_mark(tmp_path, MARK)
    assert read_stage_mark(tmp_path) == MARK
    (tmp_path / "stage.json").write_text('{"done": true, "more": 1}')
    assert read_stage_mark(tmp_path) == StageMark(done=True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"seconds": NaN}', b'{"done": 1}']
)
def test_another_form_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stage.json").write_bytes(content)
    with pytest.raises(
        UserError, match=r"stage\.json can't be read as the mark of a stage: remove .*run again"
    ):
        read_stage_mark(tmp_path)


def test_anything_in_any_place_is_read_or_refused(tmp_path: Path) -> None:
    write_stage_mark(tmp_path, MARK)
    for mutant in mutants(json.loads((tmp_path / "stage.json").read_text())):
        (tmp_path / "stage.json").write_text(json.dumps(mutant))
        try:
            assert isinstance(read_stage_mark(tmp_path), StageMark)
        except UserError as error:
            assert "stage.json" in str(error)
