"""The examples do what they say, by the commands that stand at their top."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest
import torch

from examples.advantage import ByRank
from examples.exploration import EverySecondNode
from examples.flow import KEEP, REVISE, ReviseOnceFlow
from examples.loss import DPOPositive
from examples.losses import RobustDPO, SimPO
from examples.solution import FromColumns
from examples.verifier import with_units
from flowdpo_pl.cli import main
from flowdpo_pl.data.solutions import NoSolutionError
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.losses import PairScores, SigmoidLoss
from flowdpo_pl.play.flow import Choose, Write
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.results.traces import read_traces
from flowdpo_pl.types import Move, Problem
from flowdpo_pl.verify.function_verifier import FunctionVerifier
from tests.included import BLOCK, refreshed

ROOT = Path(__file__).parents[1]
SMALL = ("--model.max_problems=32", "--trainer.callbacks=callbacks.RunSummary")


def words_at_the_top(file: str, place: int = 0) -> list[str]:
    """The words behind `python -m flowdpo_pl` in a file's docstring, of its first command or a later one."""
    text = (ROOT / "examples" / file).read_text(encoding="utf-8").replace("\\\n", " ")
    return shlex.split(re.findall(r"python -m flowdpo_pl (.*)", text)[place])


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: what the commands read."""
    for folder in ("configs", "quickstart", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def summary_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    assert found["problems_seen"] == 32
    return found


def test_contributing_and_the_readme_list_them_all() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^examples/ .*(?:\n {18}.*)*", readme, re.MULTILINE)
    for path in (ROOT / "examples").glob("[a-z]*.py"):
        assert f"examples/{path.name}" in contributing and path.stem in re.findall(r"\w+", line), path.name


def test_the_tutorial_s_blocks_are_the_example_s_own_lines() -> None:
    page = (ROOT / "docs" / "flows.md").read_text(encoding="utf-8")
    named = {(file, part) for _, file, part, _, _ in BLOCK.findall(page)}
    own = set(re.findall(r"# part: (\w+)", (ROOT / "examples" / "flow.py").read_text(encoding="utf-8")))
    assert {part for file, part in named if file == "examples/flow.py"} == own
    assert refreshed(page) == page, "python -m tests.included"


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ("The answer is 5 km.", "5000 m", 1.0),
        ("The answer is 5 miles.", "5 km", 0.0),
        ("The answer is 5.", "5 km", 0.5),
        ("The answer is 5 apples.", "5 km", 0.0),
        ("The answer is 3. No, the answer is 4.", "4", 1.0),
        ("5", "5", 0.0),
    ],
)
def test_the_verifier_minds_units(prediction: str, gold: str, score: float) -> None:
    assert with_units(prediction, gold) == score
    worker = FunctionVerifier("examples.verifier.with_units", in_process=True)
    assert worker.judge(prediction, Problem("p", "q", gold)).score == score


def test_the_verifier_s_command_runs(copy: Path) -> None:
    main([*words_at_the_top("verifier.py"), *SMALL])
    assert any(summary_of(copy / "runs" / "quickstart")["pairs"].values())


def test_the_flow_s_turns_and_answers() -> None:
    flow = ReviseOnceFlow(draft_tokens=3, note_tokens=2)
    first, second = Move("solver", (1, 2, 3), "3"), Move("solver", (4,), "4")
    note = Move("critic", (5,), "no")
    keep, revise = (Move("critic", (6,), word, option=word == "Revise") for word in ("Keep", "Revise"))
    assert (keep.option, revise.option) == (KEEP, REVISE)
    path: list[Move] = []
    for move, turn in [
        (first, Write("solver", 3)),
        (revise, Choose("critic")),
        (note, Write("critic", 2)),
        (second, Write("solver", 3)),
    ]:
        assert flow.turn(path) == turn
        path.append(move)
    assert flow.turn(path) == Choose("critic") and flow.answer(path) == [second]
    assert flow.turn([*path, keep]) is None and flow.answer([*path, keep]) == [second]
    assert flow.turn([*path, revise]) is None and flow.answer([*path, revise]) == [first]
    assert flow.turn([first, keep]) is None and flow.answer([first, keep]) == [first]
    assert flow.continues("critic", [first, revise]) == [revise] and not flow.continues("critic", [first])
    assert not flow.continues("solver", path) and len(flow.endings) == 3


def test_the_flow_s_command_runs_and_both_agents_learn(copy: Path) -> None:
    callbacks = "--trainer.callbacks=[callbacks.RunSummary, callbacks.TreeLog, callbacks.AdapterCheckpoint]"
    main([*words_at_the_top("flow.py"), "--model.max_problems=32", callbacks])
    run = copy / "runs" / "revise_once"
    assert all(summary_of(run)["pairs"].values())
    said = (run / "trees.jsonl").read_text()
    assert '"Keep"' in said and '"Revise"' in said
    main(["test", "--config=examples/flow_test.yaml", "--data.test.limit=16"])
    assert json.loads((run / "test" / "summary.json").read_text())["problems"] == 16


def scores(policy: tuple[float, float], reference: tuple[float, float]) -> PairScores:
    numbers = [torch.tensor([number]) for number in (*policy, *reference)]
    return PairScores(*numbers, torch.tensor([1]), torch.tensor([1]))


def test_the_loss_is_its_formula() -> None:
    loss = DPOPositive(beta=0.5, penalty=4.0)
    # The margin is (-1 + 4) - (-2 + 3) = 2, nothing is lost: -log sigmoid(0.5 * 2).
    gained = scores(policy=(-1.0, -4.0), reference=(-2.0, -3.0))
    assert loss(gained).item() == pytest.approx(0.31326, abs=1e-5)
    # The margin is (-3 + 6) - (-2 + 3) = 2, 1 is lost: -log sigmoid(0.5 * (2 - 4 * 1)).
    lost = scores(policy=(-3.0, -6.0), reference=(-2.0, -3.0))
    assert loss(lost).item() == pytest.approx(1.31326, abs=1e-5)
    assert SigmoidLoss(beta=0.5)(lost).item() == pytest.approx(0.31326, abs=1e-5)


def test_the_loss_s_command_runs(copy: Path) -> None:
    main([*words_at_the_top("loss.py"), *SMALL])
    assert any(summary_of(copy / "runs" / "quickstart")["pairs"].values())


def test_the_advantage_ranks_and_its_command_runs(copy: Path) -> None:
    assert ByRank()([0.9, 0.1, 0.1, 1.0]) == pytest.approx([1 / 3, -2 / 3, -2 / 3, 1.0])
    main([*words_at_the_top("advantage.py"), *SMALL])
    assert summary_of(copy / "runs" / "grpo")["pairs"]["answer"]


def test_the_further_losses_are_their_formulas() -> None:
    # The margin is 2: softplus(-1) and softplus(1) at beta 0.5.
    pair = scores(policy=(-1.0, -4.0), reference=(-2.0, -3.0))
    assert RobustDPO(beta=0.5, flipped=0.2)(pair).item() == pytest.approx(
        (0.8 * 0.31326 - 0.2 * 1.31326) / 0.6, abs=1e-5
    )
    assert RobustDPO(beta=0.5, flipped=0.0)(pair).item() == SigmoidLoss(beta=0.5)(pair).item()
    start = scores(policy=(-1.0, -4.0), reference=(-1.0, -4.0))
    assert RobustDPO(flipped=0.3)(start).item() == pytest.approx(0.69315, abs=1e-5)
    with pytest.raises(UserError, match=r"flipped is 0\.5: give at least 0 and less than 0\.5"):
        RobustDPO(flipped=0.5)

    unknown = scores(policy=(-1.0, -4.0), reference=(nan, nan))
    of_two_tokens = replace(unknown, rejected_tokens=torch.tensor([2]))
    # 2 * (-1 - -4 / 2) - 1 = 1
    assert SimPO(beta=2.0, target=1.0)(of_two_tokens).item() == pytest.approx(0.31326, abs=1e-5)


def test_of_wrong_labels_robust_dpo_is_dpo_without_them_in_expectation() -> None:
    right = scores(policy=(-1.0, -4.0), reference=(-2.0, -3.0))
    wrong = scores(policy=(-4.0, -1.0), reference=(-3.0, -2.0))
    loss = RobustDPO(beta=0.5, flipped=0.2)
    expected = 0.8 * loss(right).item() + 0.2 * loss(wrong).item()
    assert expected == pytest.approx(SigmoidLoss(beta=0.5)(right).item(), abs=1e-5)


@pytest.mark.parametrize(("place", "margins_known"), [(0, True), (1, False)])
def test_the_further_losses_commands_run(copy: Path, place: int, margins_known: bool) -> None:
    main([*words_at_the_top("losses.py", place), *SMALL])
    summary = summary_of(copy / "runs" / "quickstart")
    assert any(summary["pairs"].values())
    assert bool(summary["margins"]) == margins_known
    for agent in summary["pairs"]:
        assert summary["latest"][f"{agent}/updates_set_aside"] == 0
        assert (summary["latest"][f"{agent}/margin"] is not None) == margins_known


def test_the_exploration_s_nodes() -> None:
    flow = AnswerStopFlow(max_chunks=3)
    for first, expected in ((1, [1, 3]), (0, [0, 2, 4]), (2, [2, 4])):
        chosen = EverySecondNode(first)
        given = Problem("p", "q", "1"), flow, Draws(0)
        assert [node.depth for node in flow.nodes if chosen.explores(node, *given)] == expected


def test_the_exploration_s_command_runs_and_stop_alone_has_pairs(copy: Path) -> None:
    main([*words_at_the_top("exploration.py"), *SMALL])
    pairs = summary_of(copy / "runs" / "quickstart")["pairs"]
    assert pairs["stop"] and not pairs["answer"]


def test_the_solution_joins_columns() -> None:
    row = {"rationale": "4 * 2 = 8.", "letter": "B", "hint": ""}
    assert FromColumns()(row, "8") == "4 * 2 = 8. The answer is 8."
    assert FromColumns("{letter}: {gold}")(row, "8") == "B: 8"
    for template, column in (("{hint} {gold}", "hint"), ("{work}", "work")):
        with pytest.raises(NoSolutionError, match=f"^no {column}$"):
            FromColumns(template)(row, "8")


def test_the_solution_s_command_runs(copy: Path) -> None:
    words = [sys.executable, "-m", "flowdpo_pl", *words_at_the_top("solution.py"), "--source.limit=8"]
    subprocess.run(words, check=True, cwd=copy, env={**os.environ, "PYTHONPATH": str(ROOT)})
    traces = list(read_traces(copy / "runs" / "answers_alone" / "traces.jsonl"))
    assert len(traces) == 8 and all(re.fullmatch(r"The answer is \d+\.", trace.trace) for trace in traces)


def test_the_callback_s_command_runs_and_goes_on_as_if_it_had_never_stopped(copy: Path) -> None:
    callbacks = "--trainer.callbacks=[callbacks.RunSummary, callbacks.AdapterCheckpoint]"
    (own,) = (word for word in words_at_the_top("callback.py") if "WrongAnswers" in word)
    whole = ["fit", "--config=configs/quickstart.yaml", "--data.batch_size=8", callbacks, own]
    main([*whole, "--model.max_problems=32", "--trainer.logger.init_args.name=whole"])
    main([*whole, "--model.max_problems=16"])
    file = copy / "runs" / "quickstart" / "wrong.jsonl"
    with file.open("a") as lines:
        lines.write('{"problems_seen": 24}\n')  # of a batch that no checkpoint has
    main([*whole, "--model.max_problems=32", "--ckpt_path=last"])
    assert file.read_text() == (copy / "runs" / "whole" / "wrong.jsonl").read_text()
    wrong = [json.loads(line) for line in file.read_text().splitlines()]
    right = summary_of(copy / "runs" / "whole")["progressive_accuracy"]
    assert len(wrong) == round(32 * (1 - right)) and wrong[0]["said"][0].startswith("answer: ")
