"""The verb that writes the arms of a comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.traces import Trace, read_traces, to_line
from flowdpo_pl.verbs.arms import arms


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Three arms on problems a to d: the flow fails on d, self on c."""
    written = {}
    for name, wrong in {"ground_truth": "", "self": "c", "flow": "d"}.items():
        traces = [Trace(p, f"question {p}?", "1", f"{name} {p}", p not in wrong, source=name) for p in "abcd"]
        written[name] = tmp_path / f"{name}.jsonl"
        written[name].write_text("".join(map(to_line, traces)), encoding="utf-8")
    return written


def problems(folder: Path, *names: str) -> ProblemSource:
    file = folder / "problems.jsonl"
    rows = ({"question": f" question {name}? ", "answer": "1"} for name in names)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ProblemSource(str(file))


def test_writes_arms_of_equal_size_on_equal_prompts(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arms(files, out, stream=problems(tmp_path, "b", "z"))
    read = {name: read_traces(out / f"{name}.jsonl") for name in (*files, "ground_truth_unfiltered")}
    for name in files:
        assert [(t.problem_id, t.trace) for t in read[name]] == [("a", f"{name} a"), ("b", f"{name} b")]
    assert len(read["ground_truth_unfiltered"]) == 2
    facts = json.loads((out / "arms.json").read_text())
    assert facts["problems"] == {"offered": 4, "right_in_every_arm": 2, "kept": 2}
    assert facts["arms"]["flow"]["acceptance"] == 0.75 and facts["arms"]["ground_truth"]["right"] == 4
    assert facts["in_the_flow_s_stream"] == {"count": 1, "ids": ["b"]}


def test_traces_are_trimmed_before_anything_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "self": ["The answer is 1."] * 2,
        "flow": ["The answer is 1.\nuser", "The answer is 2. The answer is 1."],
    }
    files = {name: tmp_path / f"{name}.jsonl" for name in texts}
    for name, own in texts.items():
        rows = [
            Trace(str(i), f"question {i}?", "1", text, True, "1", source=name) for i, text in enumerate(own)
        ]
        files[name].write_text("".join(map(to_line, rows)), encoding="utf-8")
    arms(files, tmp_path / "out", unfiltered=None, trim=True)
    assert [t.trace for t in read_traces(tmp_path / "out" / "flow.jsonl")] == ["The answer is 1."]
    facts = json.loads((tmp_path / "out" / "arms.json").read_text())
    assert facts["trimmed"] == {"self": {"cut": 0, "wrong": 0}, "flow": {"cut": 2, "wrong": 1}}
    assert facts["arms"]["flow"]["right"] == 1
    assert "flow: 2 traces cut after their first answer, 1 wrong since" in capsys.readouterr().out
    arms(files, tmp_path / "whole", unfiltered=None)
    assert "trimmed" not in json.loads((tmp_path / "whole" / "arms.json").read_text())


def test_without_a_stream_the_overlap_is_unknown(files: dict[str, Path], tmp_path: Path) -> None:
    arms(files, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "arms.json").read_text())["in_the_flow_s_stream"] is None


def test_a_prompt_of_the_test_set_is_refused_with_its_id(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"are in the test set .*problems.jsonl: b; leave them out"):
        arms(files, tmp_path / "out", test=problems(tmp_path, "b", "z"))
    assert not (tmp_path / "out").exists()


def test_another_format_and_an_empty_arm_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    files["self"].write_text('{"prompt": "x"}\n')
    with pytest.raises(UserError, match=r"self.jsonl, line 1 is no trace"):
        arms(files, tmp_path / "out")
    files["self"].write_text("")
    with pytest.raises(UserError, match="arm 'self' has no right trace among 0"):
        arms(files, tmp_path / "out")
