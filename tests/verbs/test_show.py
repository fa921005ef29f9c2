"""`show` prints one problem of a run. Also tests `verbs.tree_screen`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowdpo_pl.__main__ import main as run_program
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.predictions import Prediction, to_line
from flowdpo_pl.types import RolloutTree
from flowdpo_pl.verbs.show import show
from tests.example_trees import NO, YES, choice, fork, group_tree, path, random_tree, written
from tests.hostile import HOSTILE, READABLE
from tests.tree_files import write_trees

TREES = [random_tree(seed) for seed in range(14)]


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_every_node_stands_there_with_what_it_teaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = path([written("one\nplus"), choice(NO), written("[b]x[/b]", logprob=float("nan"))], False)
    forks = (
        fork(main, 0, written("two"), [choice(NO), written("four")], True),
        fork(main, 1, choice(YES), [], False),
    )
    tree = RolloutTree(TREES[0].problem, main, forks, (2,))
    write_trees(tmp_path / "run", [tree])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["flowdpo_pl", "show", "run", "1"])
    run_program()
    assert printed(capsys) == [
        "run, problem 1 of 1 (p0)",
        "question 0?",
        "gold 0",
        "2 forks, 1 pair; main chain ✘ wrong, answer ]",
        "",
        "  0 answer  one",
        "            plus  -1.00  ▽ rejected",
        "    ▲ chosen; ended ✔ right, answer r",
        "      answer  two  -1.00",
        "      stop  chooses No  -0.50",
        "      answer  four  -1.00",
        "",
        "  1 stop  chooses No  -0.50",
        "    = tie, both wrong; ended ✘ wrong, answer s",
        "      stop  chooses Yes  -0.50",
        "",
        "  2 answer  [b]x[/b]",
        "    ∅ no alternative",
    ]


def test_of_a_group_every_draw_stands_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trees(tmp_path, [group_tree(0)])
    show(tmp_path, "1")
    said = [line.strip().partition(";")[0] for line in printed(capsys)]
    assert [line for line in said if line.startswith(("=", "▲", "▽"))] == [
        "= the same move again", "▽ rejected", "= tie, both right", "= tie, both right"
    ]  # fmt: skip


@pytest.mark.parametrize(("word", "number"), [("2", 2), ("#2", 2), ("p3", 4), ("p12", 13), ("99", 14)])
def test_a_problem_is_named_by_number_or_id(
    word: str, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = replace(TREES[13], problem=replace(TREES[13].problem, id="99"))  # an id that is no number here
    write_trees(tmp_path, [*TREES[:13], last])
    show(tmp_path, word)
    assert f"problem {number} of 14" in printed(capsys)[0]


def test_a_problem_that_is_not_there_or_not_one_is_said(tmp_path: Path) -> None:
    write_trees(tmp_path, TREES)
    with pytest.raises(UserError, match="has no problem 'q': give a number from 1 to 14, or an id"):
        show(tmp_path, "q")
    with pytest.raises(UserError, match=r"'p' begins the ids of several problems .*: p0, p1, p2 and 11 more"):
        show(tmp_path, "p")
    (tmp_path / "trees.jsonl").write_text("")
    with pytest.raises(UserError, match="has no problem '1': it has none yet"):
        show(tmp_path, "1")


def test_the_answers_of_a_test_vote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Prediction("a", "q?", "4", f"so {said}", said == "4", number, said, tokens=1, cut=number == 1)
        for number, said in enumerate(["4", "5", "4"])
    ]
    rows.append(Prediction("b", "r?", "4", "so", False, error="timeout"))
    (tmp_path / "predictions.jsonl").write_text("".join(map(to_line, rows)))
    show(tmp_path, "a")
    assert printed(capsys)[1:] == [
        *("q?", "gold 4", "", "answer 1 of 3", "so 4", "✔ right, answer 4; 1 token, 1 chunk", ""),
        *("answer 2 of 3", "so 5", "✘ wrong, answer 5; 1 token, 1 chunk; cut at the flow's limit", ""),
        *("answer 3 of 3", "so 4", "✔ right, answer 4; 1 token, 1 chunk", "", "together 4: 2 of 3"),
    ]
    show(tmp_path, "2")
    assert printed(capsys)[-1] == "? not judged (timeout); 0 tokens, 1 chunk"
    with pytest.raises(UserError, match="has no problem 'c'"):
        show(tmp_path, "c")


def test_no_text_steers_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, readable in zip(HOSTILE, READABLE, strict=True):
        main = path([replace(written(text, 1), agent="a\x1b")], True)
        problem = replace(TREES[0].problem, question=text, gold=text, id="x\x1b")
        write_trees(tmp_path, [RolloutTree(problem, main, (fork(main, 0, written(text, 2), [], False),))])
        show(tmp_path, "1")
        shown = capsys.readouterr().out
        assert shown.count(readable) == 4 and "a\\x1b" in shown and "x\\x1b" in shown
        assert not set(shown) & set("\x1b\x07\x00\x85\x9b\x7f\u2028\u202e")
