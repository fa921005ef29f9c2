"""The study's runner with a tiny program in place of the real verbs.

Also tests `verbs.study_plan`, `verbs.study_run`, `verbs.study_step`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.verbs import study_step
from flowdpo_pl.verbs.study import study
from flowdpo_pl.verbs.study_stage import Stage, Value
from tests.runs import ROOT

PROGRAM = """
import json, os, pathlib, sys, time
program, verb, *rest = [word for word in sys.argv[1:] if word != "-m"] + [""]
options = dict(part[2:].split("=", 1) for part in sys.argv if part.startswith("--"))
here = pathlib.Path(options.get("output") or options["trainer.default_root_dir"])
with open("calls.txt", "a") as calls:
    calls.write(f"{here.parent.name}/{here.name}\\n")
(here / "options.json").write_text(json.dumps({**options, "threads": os.environ.get("OMP_NUM_THREADS")}))
print("working at", here.name)
if "meets" in options:
    (here / "here").touch()
    deadline = time.monotonic() + 60
    while not all(pathlib.Path(other, "here").exists() for other in options["meets"].split(",")):
        time.sleep(0.02)
        if time.monotonic() > deadline:
            sys.exit("nobody came")
time.sleep(float(options.get("naps", 0)))
if verb == "export":
    try:
        pathlib.Path("waiting " + here.name).touch()
        time.sleep(60)
    except KeyboardInterrupt:
        pathlib.Path("interrupted " + here.name).touch()
        raise
if pathlib.Path("broken").exists() and here.name in pathlib.Path("broken").read_text().split():
    (here / "checkpoints").mkdir(exist_ok=True)
    (here / "checkpoints" / "last.ckpt").touch()
    sys.exit("flowdpo_pl: no such luck")
(here / "made.json").write_text('{"x": 1}')
"""


@pytest.fixture(autouse=True)
def fake_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("verbs.py").write_text(PROGRAM)
    Path("a.yaml").write_text("x: 1")
    monkeypatch.setattr(study_step, "PYTHON", (sys.executable, "verbs.py"))


def stages(value: int = 1) -> dict[str, Stage]:
    return {
        "first": Stage("fit", "a.yaml"),
        "second": Stage("arms", arguments={"output": "{here}", "from": "{first}/x", "value": value}),
        "apart": Stage("arms", arguments={"output": "{here}"}),
    }


def calls() -> list[str]:
    """The stages that ran since the last look."""
    file = Path("calls.txt")
    done = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return done


def options(stage: str) -> dict[str, str]:
    read: dict[str, str] = json.loads((Path("out/seed0") / stage / "options.json").read_text())
    return read


def test_stages_run_once_for_each_seed_in_their_order() -> None:
    study(stages(), Path("out"), seeds=[0, 1])
    assert calls() == [f"seed{seed}/{name}" for seed in (0, 1) for name in stages()]
    assert options("second")["from"] == "out/seed0/first/x"
    assert options("first")["seed_everything"] == "0"
    assert "working at first" in Path("out/seed0/first/log.txt").read_text()
    study(stages(), Path("out"), seeds=[0, 1])
    assert calls() == []
    study(stages(), Path("out"), seeds=[0, 1, 2])
    assert calls() == [f"seed2/{name}" for name in stages()]


def test_a_change_runs_a_stage_and_its_dependents_again_and_keeps_the_old() -> None:
    study(stages(), Path("out"))
    calls()
    study(stages(value=2), Path("out"))
    assert calls() == ["seed0/second"] and options("second")["value"] == "2"
    assert json.loads(Path("out/seed0/second.old/options.json").read_text())["value"] == "1"
    Path("a.yaml").write_text("x: 2")
    study(stages(value=2), Path("out"))
    assert calls() == ["seed0/first", "seed0/second"]


def test_a_failing_stage_ends_the_study_and_an_interrupted_fit_goes_on() -> None:
    Path("broken").write_text("first")
    with pytest.raises(UserError) as caught:
        study(stages(), Path("out"))
    assert str(caught.value) == (
        "stage 'first' of seed 0 failed (flowdpo_pl: no such luck): see out/seed0/first/log.txt"
    )
    assert calls() == ["seed0/first"] and "ckpt_path" not in options("first")
    Path("broken").unlink()
    study(stages(), Path("out"))
    assert calls() == [f"seed0/{name}" for name in stages()]
    assert options("first")["ckpt_path"] == "out/seed0/first"


@pytest.mark.parametrize(("ended", "again"), [("finished", []), ("SIGTERM", ["seed0/tested"])])
def test_a_stage_that_had_finished_when_its_study_was_killed_is_done(ended: str, again: list[str]) -> None:
    tested = {**stages(), "tested": Stage("test", "a.yaml")}
    study(tested, Path("out"))
    calls()
    here = Path("out/seed0/tested")
    marker = json.loads((here / "stage.json").read_text())
    (here / "stage.json").write_text(json.dumps({**marker, "done": False}))
    (here / "test").mkdir()
    (here / "test" / "summary.json").write_text(json.dumps({"ended": ended}))
    with suppress(UserError):  # the fake verb leaves that summary as it is
        study(tested, Path("out"))
    assert calls() == again
    assert json.loads((here / "stage.json").read_text())["done"] == (ended == "finished")


def own(**arguments: Value) -> Stage:
    return Stage("arms", arguments={"output": "{here}", **arguments})


def test_a_stage_begins_when_what_it_needs_is_done_and_waits_for_nothing_else() -> None:
    side_by_side = {
        "left": own(meets="out/seed0/right,out/seed0/early"),
        "right": own(meets="out/seed0/left"),
        "both": own(x="{left:made.json:x}{right:made.json:x}"),
        "early": own(x="{right:made.json:x}", meets="out/seed0/left"),
    }
    study(side_by_side, Path("out"), at_once=4)
    ran = calls()
    assert {*ran[:2]} == {"seed0/left", "seed0/right"} and ran[2:] == ["seed0/early", "seed0/both"]
    study(side_by_side, Path("out"), at_once=4)
    assert calls() == []


def test_side_by_side_what_most_wait_for_one_behind_the_other_begins_first() -> None:
    meets = "out/seed0/one,out/seed1/one"
    chain = {"alone": own(), "one": own(meets=meets), "two": own(x="{one}"), "three": own(x="{two}")}
    study(chain, Path("out"), seeds=[0, 1], at_once=2)
    assert sorted(calls()[:2]) == ["seed0/one", "seed1/one"]
    study({**chain, "one": own()}, Path("other"))
    assert calls() == [f"seed0/{name}" for name in chain]


def test_side_by_side_has_the_commands_of_one_after_another() -> None:
    study(stages(), Path("out"), seeds=[0, 1], at_once=3)
    together = {file: file.read_text() for file in Path("out").glob("*/*/made.json")}
    marks = [json.loads(file.read_text()) for file in sorted(Path("out").glob("*/*/stage.json"))]
    assert sorted(calls()) == sorted(f"seed{seed}/{name}" for seed in (0, 1) for name in stages())
    study(stages(), Path("out"), seeds=[0, 1])
    assert not calls() and len(together) == len(marks) == 6
    shutil.rmtree("out")
    study(stages(), Path("out"), seeds=[0, 1])
    alone = [json.loads(file.read_text()) for file in sorted(Path("out").glob("*/*/stage.json"))]
    assert [{**mark, "seconds": 0} for mark in marks] == [{**mark, "seconds": 0} for mark in alone]


def test_after_a_failure_what_runs_beside_it_comes_to_its_end_and_nothing_else_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("broken").write_text("right")
    meets = "out/seed0/left,out/seed0/right"
    todo = {"left": own(meets=meets, naps=2), "right": own(meets=meets)}
    todo |= {"after_left": own(x="{left}"), "after_right": own(x="{right}")}
    with pytest.raises(UserError, match=r"stage 'right' of seed 0 failed \(flowdpo_pl: no such luck\)"):
        study(todo, Path("out"), at_once=4)
    assert sorted(calls()) == ["seed0/left", "seed0/right"]
    said = capsys.readouterr().out
    assert (
        "(flowdpo_pl: no such luck): see out/seed0/right/log.txt; waiting for stage 'left' of seed 0" in said
    )
    assert json.loads(Path("out/seed0/left/stage.json").read_text())["done"]


def test_every_failure_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken").write_text("left right")
    meets = "out/seed0/left,out/seed0/right"
    with pytest.raises(UserError, match=r"stage 'right' of seed 0 failed"):
        study({"left": own(meets=meets, naps=2), "right": own(meets=meets)}, Path("out"), at_once=2)
    assert "stage 'left' of seed 0 failed (flowdpo_pl: no such luck)" in capsys.readouterr().out


def test_the_cores_are_shared_out_unless_the_user_has_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    both = {"left": own(), "right": own()}
    study(both, Path("out"), at_once=4)
    assert [options(name)["threads"] for name in both] == ["4", "4"], "of two stages, not of four"
    study({**both, "alone": own()}, Path("out"), at_once=4)
    assert options("alone")["threads"] is None
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    study(both, Path("out"), seeds=[1], at_once=2)
    assert '"threads": "7"' in Path("out/seed1/left/options.json").read_text()


def test_a_seed_named_twice_is_refused() -> None:
    with pytest.raises(UserError, match="seeds names 1 more than once"):
        study(stages(), Path("out"), seeds=[1, 0, 1])
    assert not calls()


def test_only_one_stage_and_what_it_needs() -> None:
    with pytest.raises(
        UserError, match="stage 'second' of seed 0 needs 'first', which is new: run that first"
    ):
        study(stages(), Path("out"), only="second")
    study(stages(), Path("out"), only="first")
    study(stages(), Path("out"), only="second")
    assert calls() == ["seed0/first", "seed0/second"]
    with pytest.raises(UserError, match="stage 'second' of seed 1 needs 'first', which is new"):
        study(stages(value=2), Path("out"), seeds=[0, 1], only="second")
    assert not calls()
    with pytest.raises(UserError, match="--only third is none of the stages: first, second, apart"):
        study(stages(), Path("out"), only="third")


def test_a_dry_run_lists_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    study(stages(), Path("out"), only="first")
    capsys.readouterr()
    study(stages(), Path("out"), dry_run=True)
    assert calls() == ["seed0/first"]
    told, table, *commands = capsys.readouterr().out.split("\n\n")
    assert told == "3 stages (1 done, 2 new); 2 would run. Nothing is run now."
    assert [line.split()[:3] for line in table.splitlines()] == [
        ["keep", "seed0/first", "done"],
        ["run", "seed0/second", "new"],
        ["run", "seed0/apart", "new"],
    ]
    second = shlex.split(commands[0].replace("\\\n", ""), comments=True)
    assert second[:4] == ["python", "-m", "flowdpo_pl", "arms"]
    assert second[4:] == ["--output=out/seed0/second", "--from=out/seed0/first/x", "--value=1"]


def test_a_dry_run_says_why_and_leaves_what_is_not_known_yet(capsys: pytest.CaptureFixture[str]) -> None:
    study(stages(), Path("out"))
    changed = {**stages(value=2), "apart": Stage("arms", arguments={"output": "{first:none.json:tokens}"})}
    study(changed, Path("out"), dry_run=True, only="apart")
    out = capsys.readouterr().out
    assert "not asked for by --only" in out and "the old goes to apart.old" in out
    assert "python -m flowdpo_pl arms '--output={first:none.json:tokens}'" in out


def test_a_stage_may_name_earlier_ones_only() -> None:
    wrong = {"first": Stage("arms", arguments={"x": "{second}/y"}), "second": Stage("arms")}
    with pytest.raises(UserError, match=r"stage 'first' names \{second\}, which is no stage before it"):
        study(wrong, Path("out"))


def test_a_stage_may_be_a_module_and_name_the_study_s_values() -> None:
    own = {"make": Stage(module="json.tool", arguments={"output": "{here}", "steps": "{steps}"})}
    study(own, Path("out"), values={"steps": 3})
    assert options("make")["steps"] == "3" and calls() == ["seed0/make"]
    study(own, Path("out"), values={"steps": 3})
    assert calls() == []
    study(own, Path("out"), values={"steps": 6})
    assert calls() == ["seed0/make"]
    with pytest.raises(
        UserError, match=r"names \{steps\}, which is no stage before it .* none of the study's values"
    ):
        study(own, Path("out"))
    with pytest.raises(UserError, match=r"stage 'make': there is no module json\.none to run"):
        study({"make": Stage(module="json.none")}, Path("out"))


def test_data_that_is_not_there_is_named_before_anything_runs() -> None:
    tested = Stage(
        "test", arguments={"data.test.path": "{first}/problems.jsonl", "data.train.path": "hub/id"}
    )
    study({**stages(), "tested": tested}, Path("out"))
    calls()
    asked = {**tested.arguments, "data.test.path": "nowhere.jsonl"}
    with pytest.raises(UserError, match=r"stage 'asked': data\.test\.path: nowhere\.jsonl does not exist"):
        study({**stages(2), "asked": Stage("test", arguments=asked)}, Path("out"))
    assert not calls()


def test_a_wrong_verb_of_a_stage_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"stage 'first': there is no verb 'fitt': did you mean fit\?"):
        study({"first": Stage("fitt", "a.yaml")}, Path("out"))


def test_ending_the_study_ends_its_stages_as_an_interrupt_would() -> None:
    program = (
        "import pathlib, sys; from flowdpo_pl.verbs import study_step;"
        "from flowdpo_pl.verbs.study import study; from flowdpo_pl.verbs.study_stage import Stage;"
        "study_step.PYTHON = (sys.executable, 'verbs.py');"
        "slow = Stage('export', arguments={'output': '{here}'});"
        "study({'one': slow, 'two': slow}, pathlib.Path('out'), at_once=2)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    both = ("one", "two")
    while not all(Path(f"waiting {name}").exists() for name in both) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    said = child.communicate(timeout=120)
    assert said[0].count(b"the same command goes on") == 2
    assert child.returncode == 128 + signal.SIGTERM
    for name in both:
        assert Path(f"interrupted {name}").exists()
        assert not json.loads(Path(f"out/seed0/{name}/stage.json").read_text())["done"]


def test_a_mark_or_summary_that_is_spoilt_is_named() -> None:
    study(stages(), Path("out"))
    mark = Path("out/seed0/first/stage.json")
    whole = mark.read_text()
    mark.write_text("{")
    for options in ({}, {"dry_run": True}, {"only": "second"}):
        with pytest.raises(UserError, match=r"first/stage\.json can't be read .*: remove out/seed0/first"):
            study(stages(), Path("out"), **options)
    mark.write_text(whole.replace("true", "false"))
    for content, told in (("[" * 100_000, r"summary\.json can't be read"), ("[1]", "has not finished")):
        mark.write_text(whole.replace("true", "false"))
        Path("out/seed0/first/summary.json").write_text(content)
        with pytest.raises(UserError, match=told):
            study(stages(), Path("out"))


def test_a_folder_that_can_t_be_written_is_named() -> None:
    Path("file").touch()
    with pytest.raises(UserError, match=r"stage\.json can't be written \(Not a directory\)"):
        study(stages(), Path("file/out"))
