from pathlib import Path

import pytest
import rich
from rich.console import Console

from callbacks import AdapterCheckpoint, FlowProgressBar
from flowdpo_pl.measure.tree_statistics import tree_statistics
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, validate
from tests.example_trees import random_tree


def bar(folder: Path, module: Playing | None = None, every_n_problems: int = 8, **kwargs: object) -> None:
    fit(folder, FlowProgressBar(every_n_problems), module=module, enable_progress_bar=True, **kwargs)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if "problems |" in line]


def test_without_a_terminal_it_prints_a_line_now_and_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bar(tmp_path)
    printed = lines(capsys)
    assert [line.split(" problems")[0] for line in printed] == ["fit 8/16", "fit 16/16"]
    pairs = tree_statistics([random_tree(problem) for problem in range(16)], ("answer", "stop"))
    assert f"pairs answer {pairs['answer/pairs']:.0f}, stop {pairs['stop/pairs']:.0f}" in printed[-1]
    assert "200 tokens/s" in printed[-1]


def test_validate_has_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate(tmp_path, FlowProgressBar(8), enable_progress_bar=True)
    printed = lines(capsys)
    assert [line.split(" problems")[0] for line in printed] == ["validate 8/16", "validate 16/16"]
    assert "pairs" not in printed[-1] and "over all" not in printed[-1], "nothing is learnt"


def test_pairs_are_counted_across_a_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = AdapterCheckpoint(every_n_problems=8)
    with pytest.raises(Stopped):
        fit(
            tmp_path,
            FlowProgressBar(8),
            checkpoint,
            module=Playing(before_batch=stop_at(8)),
            enable_checkpointing=True,
            enable_progress_bar=True,
        )
    bar(tmp_path, ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    pairs = tree_statistics([random_tree(problem) for problem in range(16)], ("answer", "stop"))
    assert f"pairs answer {pairs['answer/pairs']:.0f}, stop {pairs['stop/pairs']:.0f}" in lines(capsys)[-1]


@pytest.mark.parametrize("stopped", [False, True])
def test_on_a_terminal_the_bar_counts_problems_and_gives_the_terminal_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stopped: bool
) -> None:
    console = Console(force_terminal=True, width=150)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    if stopped:
        with pytest.raises(Stopped):
            bar(tmp_path, module=Playing(before_batch=stop_at(8)))
    else:
        bar(tmp_path)
    printed = capsys.readouterr().out
    assert ("8/16" if stopped else "16/16") in printed
    assert printed.rfind("\x1b[?25h") > printed.rfind("\x1b[?25l"), "the cursor is shown again"


def test_disabled_it_is_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    callback = FlowProgressBar(8)
    callback.disable()
    fit(tmp_path, callback, enable_progress_bar=True)
    assert not lines(capsys)
