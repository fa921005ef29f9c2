"""A sample of `python -m benchmarks.hostile`, which drives 30,000 answers through the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.hostile import run_parts
from benchmarks.taken_screen import obeyed
from callbacks.sample_flows import COLUMNS, samples_as_markdown, samples_as_rows
from flowdpo_pl.modules.tensor_board import TensorBoard
from flowdpo_pl.types import Problem, RolloutTree, Verdict
from flowdpo_pl.verbs.show import show
from flowdpo_pl.verbs.view import view
from flowdpo_pl.verify.answers import quick_verdict, read_answer
from flowdpo_pl.verify.math_verifier import MathVerifier
from tests.example_trees import NO, YES, choice, fork, path, written
from tests.hostile_answers import CANARY, HostileAnswer, hostile_answers
from tests.tree_files import write_trees

ANSWERS = [answer for answer in hostile_answers(400, seed=1) if len(answer.text) <= 100_000]
ASKED = [answer for answer in ANSWERS if answer.kind in ("marked", "tokens", "injection", "characters")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where an injection would make its file."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.rglob(f"*{CANARY}*"))


def test_the_same_seed_gives_the_same_answers_of_every_kind() -> None:
    assert list(hostile_answers(300, seed=4)) == list(hostile_answers(300, seed=4))
    assert len({answer.kind for answer in hostile_answers(2000)}) >= 10


def test_what_is_known_of_an_answer_is_its_verdict() -> None:
    certain = [(quick_verdict(read_answer(one.text), read_answer(one.gold)), one.right) for one in ANSWERS]
    known = [pair for pair in certain if None not in pair]
    assert len(known) > 50 and all(verdict == right for verdict, right in known)


def test_workers_agree_and_none_is_lost(here: Path) -> None:
    asked = [answer for answer in ASKED if needs_a_worker(answer)][:40]
    pairs = [(answer.text, answer.gold) for answer in asked]
    verdicts = []
    for workers in (1, 2):
        with MathVerifier(workers) as verifier:
            verdicts.append(verifier(pairs))
            assert verifier("the sum is $1+1$", "2").correct
    assert verdicts[0] == verdicts[1]
    assert all(one.right in (None, said.correct) for one, said in zip(asked, verdicts[0], strict=True))


def needs_a_worker(answer: HostileAnswer) -> bool:
    return quick_verdict(read_answer(answer.text), read_answer(answer.gold)) is None


def test_what_shows_them_obeys_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees = [tree(number, answer) for number, answer in enumerate(ASKED)]
    run = write_trees(here / "run", trees)
    view(run, open=False)
    for number in range(1, len(trees) + 1, 20):
        show(run, str(number))
    said = capsys.readouterr()
    assert obeyed(said.out + said.err) == set()
    assert obeyed(samples_as_markdown(trees, 8)) == set()
    page = (run / "view.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script>") == 2 and "<img" not in page
    cells: list[str] = []
    table = TensorBoard(str(here), "board")
    table._experiment = Takes(cells)
    table.log_table("samples", list(COLUMNS), samples_as_rows(trees), step=8)
    assert obeyed(cells[0]) == set() and "<" not in cells[0]
    assert len(cells[0].splitlines()) == 2 + sum(len(tree.main.moves) for tree in trees)


class Takes:
    """TensorBoard's writer, as far as tables need it."""

    def __init__(self, cells: list[str]) -> None:
        self._cells = cells

    def add_text(self, key: str, text: str, step: int) -> None:
        self._cells.append(text)


def tree(number: int, answer: HostileAnswer) -> RolloutTree:
    main = path([written(answer.text, 1), choice(YES)], False)
    main = type(main)(main.moves, main.answer, Verdict(False, answer.text, None))
    other = fork(main, 0, written(json.dumps(answer.text), 2), [choice(NO)], True)
    problem = Problem(
        f"{number} {answer.text}", answer.text, answer.gold, labels=((answer.text, answer.text),)
    )
    return RolloutTree(problem, main, (other,), (1,))


@pytest.mark.long
def test_a_run_of_hostile_answers_is_shown_everywhere(here: Path) -> None:
    answers = list(hostile_answers(60, seed=2))
    assert run_parts(answers, timeout=2.0, folder=here, parts=("shown",)) == []
