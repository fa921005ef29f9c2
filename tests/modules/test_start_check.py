"""What is found at the start of a run. Also tests `modules.full_check`: the verb `check`."""

from __future__ import annotations

import shutil
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from flowdpo_pl.cli import CheckCLI, main
from flowdpo_pl.data.problem_stream import ProblemStream
from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base_sample import base_sample
from flowdpo_pl.modules.full_check import Checked, FullCheck, tell
from flowdpo_pl.modules.start_check import Found, Level, admitted, room_in
from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.math_verifier import MathVerifier
from tests.runs import ROOT, Recorder, data, module, trainer, weights


class SaysYes(MathVerifier):
    """Content with anything."""

    def compare(self, prediction: object, gold: object) -> Future[Verdict]:
        return self._at_once(Verdict(True))


class SaysNo(MathVerifier):
    """Content with nothing."""

    def compare(self, prediction: object, gold: object) -> Future[Verdict]:
        return self._at_once(Verdict(False))


class Changing(Callback):
    """Changes the base in the middle of a run."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        with torch.no_grad():
            pl_module.agents.base.get_input_embeddings().weight.add_(0.1)


def found_of(**options: Any) -> list[Found]:
    run, source = module(**options), data()
    source.setup()
    return list(run.look(next(iter(source.train_dataloader())), None))


def levels(found: list[Found]) -> set[Level]:
    return {one.level for one in found}


def test_a_run_as_it_should_be_is_good() -> None:
    found = found_of()
    assert levels(found) == {Level.GOOD} and len(found) == 3, "two agents and the verifier"


@pytest.mark.parametrize("verifier", [SaysYes, SaysNo])
def test_a_verifier_that_always_says_the_same_is_told_and_not_refused(verifier: type[MathVerifier]) -> None:
    (doubtful,) = (one for one in found_of(verifier=verifier()) if one.level is not Level.GOOD)
    assert doubtful.level is Level.DOUBTFUL and "model.verifier" in doubtful.sentence


def test_a_run_that_does_not_begin_at_its_reference_is_refused(tmp_path: Path) -> None:
    run = module()
    with torch.no_grad():
        for weight in run.players.agents.parameters_of("stop"):
            weight.add_(0.05)
    with pytest.raises(UserError, match="agent 'stop' does not begin as its reference: its first margin is"):
        trainer(tmp_path).fit(run, data())


def test_check_tells_of_every_probe_where_one_is_wrong(tmp_path: Path) -> None:
    run = module()
    with torch.no_grad():
        for weight in run.players.agents.parameters_of("stop"):
            weight.add_(0.05)
    with pytest.raises(Checked) as checked:
        trainer(tmp_path, FullCheck(tmp_path)).fit(run, data())
    levels_found = [one.level for one in checked.value.found]
    assert levels_found.count(Level.WRONG) == 1 and len(levels_found) > 5


def test_training_is_bit_identical_with_and_without(tmp_path: Path) -> None:
    runs, recorders = [module(check=check) for check in (True, False)], [Recorder(), Recorder()]
    for run, recorder in zip(runs, recorders, strict=True):
        trainer(tmp_path, recorder).fit(run, data())
    for one, other in zip(*(weights(run).values() for run in runs), strict=True):
        assert torch.equal(one, other)
    timed = ("seconds", "second", "memory")
    for one, other in zip(*(recorder.values for recorder in recorders), strict=True):
        kept = {name: value for name, value in one.items() if not any(word in name for word in timed)}
        assert {name: other[name] for name in kept} == pytest.approx(kept, abs=0, nan_ok=True)


def test_a_base_that_changes_is_noticed_at_the_next_checkpoint(tmp_path: Path) -> None:
    run = module(max_problems=16)
    running = trainer(tmp_path, Changing())
    running.fit(run, data())
    with pytest.raises(UserError, match="the base, which is frozen, has changed since training began"):
        running.save_checkpoint(tmp_path / "last.ckpt")
    whole = module(max_problems=16)
    running = trainer(tmp_path)
    running.fit(whole, data())
    before = base_sample(whole.agents)
    running.save_checkpoint(tmp_path / "last.ckpt")
    assert base_sample(whole.agents) == before


def stream(met: int, **skipped: int) -> ProblemStream:
    return cast(ProblemStream, SimpleNamespace(problems_met=met, skipped=Counter(skipped)))


def test_few_admitted_problems_are_told_with_the_reason() -> None:
    assert admitted(stream(20, long=3)).level is Level.GOOD
    few = admitted(stream(20, other=1, long=14))
    assert few.level is Level.DOUBTFUL and "5 of 20" in few.sentence and "14 long" in few.sentence


@pytest.mark.parametrize(("free", "level"), [(10**12, Level.GOOD), (100_000, Level.WRONG), (0, Level.WRONG)])
def test_room_is_looked_for_where_the_folder_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Any:
        asked.append(path)
        return SimpleNamespace(free=free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert room_in(tmp_path / "not" / "yet", module().players).level is level
    assert asked == [tmp_path]


def checked(folder: Path, *arguments: str) -> None:
    config = str(ROOT / "configs" / "quickstart.yaml")
    save_dir = f"--trainer.logger.init_args.save_dir={folder}"
    main(["fit", "--config", config, save_dir, *arguments], CheckCLI)


def test_the_verb_plays_tells_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    checked(tmp_path / "runs", "--model.max_problems=1000000")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and all(line.startswith("good ") for line in lines)
    assert "32 problems played: 28% right, 88% of the answers carry a mark" in lines[-1]
    assert not (tmp_path / "runs").exists()


def test_the_verb_is_for_flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    traces = tmp_path / "traces.jsonl"
    traces.write_text("{}\n", encoding="utf-8")
    sft = ["fit", "--config", "configs/quickstart_study/sft.yaml", f"--data.train=[{traces}]"]
    with pytest.raises(UserError, match=r"check looks at a flow, and model\.class_path is SFTModule"):
        main([*sft, f"--trainer.logger.init_args.save_dir={tmp_path}"], CheckCLI)


def test_what_is_wrong_ends_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="1 of 2 probes"):
        tell([Found(Level.GOOD, "fine"), Found(Level.WRONG, "bad")])
    assert capsys.readouterr().out == "good   fine\nwrong  bad\n"
