"""A run whose moves, questions, gold answers and labels are hostile, and everything that shows it."""

from __future__ import annotations

import csv
import io
import json
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from benchmarks.memory_slope import MemorySlope, resident_bytes_of
from benchmarks.taken_screen import obeyed, taken_screen
from callbacks import AccuracyCurve, RunSummary, SampleFlows, TreeLog
from flowdpo_pl.modules.metrics_table import MetricsTable
from flowdpo_pl.modules.tensor_board import TensorBoard
from flowdpo_pl.modules.weights_and_biases import WeightsAndBiases
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.results.trained_run import CONFIG
from flowdpo_pl.results.tree_io import read_trees
from flowdpo_pl.types import Problem, RolloutTree, Verdict
from flowdpo_pl.verbs.report import report
from flowdpo_pl.verbs.show import show
from flowdpo_pl.verbs.tree_screen import print_tree
from flowdpo_pl.verbs.view import view
from tests.browser import CHROMIUM, Browser, browser
from tests.callbacks.playing import Playing, Stream, trainer
from tests.example_trees import NO, YES, choice, fork, path, written
from tests.hostile_answers import INJECTIONS, HostileAnswer

BATCH = 50
PAGE = 1000
"""Problems on a page."""
SHORT = 200
"""Characters of a text that stands where short ones do: question, id, label."""
_OPEN = """(async () => {{ let seen = 0;
for (let n = {0}; n <= {1}; n++) {{ location.hash = "#" + n;
for (let wait = 0; wait < 1000; wait++) {{ await new Promise((next) => setTimeout(next, 0));
const head = document.querySelector(".panel h2")?.innerText;
if (head === "Problem " + n) {{ seen++; break; }} }} }}
return seen; }})()"""
_MARKUP = "document.querySelectorAll('body :is(iframe, object, embed, img, [onload], [onerror], b b)').length"

Measured = dict[str, Any]


class HostilePlay(Playing):
    """Plays these answers, a fork on each, which is the answer before; watches the screen and the memory."""

    def __init__(
        self, answers: Sequence[HostileAnswer], verdicts: Sequence[Verdict], screen: io.StringIO
    ) -> None:
        super().__init__(len(answers))
        self.answers, self.verdicts, self.screen = answers, verdicts, screen
        self.characters, self.escapes, self.memory = 0, set[str](), MemorySlope()

    def train_dataloader(self) -> DataLoader[int]:
        return DataLoader(Stream(self.problems_seen, self.max_problems), batch_size=BATCH)

    def play(self, batch: torch.Tensor) -> dict[str, float]:
        self.look()
        self.memory.add(self.problems_seen, resident_bytes_of(os.getpid()))
        values = super().play(batch)
        self.trees = tuple(map(self._tree, batch.tolist()))
        for logger in self.trainer.loggers:
            logger.log_metrics({**values, "problems_seen": self.problems_seen}, self.problems_seen)
        return values

    def look(self) -> None:
        """At what was printed since the last look, which is then forgotten."""
        printed = self.screen.getvalue()
        self.screen.seek(0)
        self.screen.truncate()
        self.characters += len(printed)
        self.escapes |= obeyed(printed)

    def _tree(self, number: int) -> RolloutTree:
        text, short = self.answers[number].text, self.answers[number].text[:SHORT]
        moves = [written(text, 1), written(short, 2), choice(YES)]
        main = path(moves, False)
        main = type(main)(main.moves, main.answer, self.verdicts[number])
        other = fork(
            main, 0, written(self.answers[number - 1].text, 3), [choice(NO), written("end", 4)], False
        )
        problem = Problem(f"{number} {short}", short, self.answers[number].gold, labels=((short, short),))
        return RolloutTree(problem, main, (other,), (1, 2))


def log(
    answers: Sequence[HostileAnswer], verdicts: Sequence[Verdict], run: Path
) -> tuple[Measured, list[str]]:
    """The run, with every callback and logger that shows text."""
    os.environ["WANDB_MODE"] = "offline"
    warnings.filterwarnings("ignore")
    kinds = (MetricsTable, TensorBoard, WeightsAndBiases)
    loggers: list[Logger] = [kind(str(run.parent), run.name) for kind in kinds]
    watching = [SampleFlows(BATCH, BATCH), TreeLog(parquet=True), AccuracyCurve(), RunSummary()]
    run.mkdir(parents=True)
    (run / CONFIG).write_text(json.dumps(_config()), encoding="utf-8")
    started = time.perf_counter()
    with taken_screen() as screen:
        module = HostilePlay(answers, verdicts, screen)
        lightning = trainer(run, *watching)
        lightning.loggers = loggers
        lightning.fit(module)
        for logger in loggers:
            logger.finalize("success")
        module.look()
    seconds = time.perf_counter() - started
    findings = _told("the terminal", module.escapes)
    findings += _obeyed("samples", (file.read_text(encoding="utf-8") for file in run.glob("samples/*.md")))
    tables = {"tensorboard": _tensorboard(run), "wandb": _wandb(run)}
    for name, texts in tables.items():
        findings += _obeyed(name, texts)
        findings += [] if texts else [f"{name} has no table"]
    if any("<" in text for text in tables["tensorboard"]):
        findings.append("TensorBoard's table has markup")
    findings += _files(run, answers)
    measured = {
        "seconds": round(seconds),
        "screen_characters": module.characters,
        "cells": {name: len(texts) for name, texts in tables.items()},
        "trees_mb": _megabytes(run / "trees.jsonl"),
        "memory": module.memory.told(),
    }
    return measured, findings


def _config() -> dict[str, Any]:
    """Of the run, as JSON, which is YAML; its prompts are hostile too."""
    prompts = {agent: {"user": "".join(INJECTIONS)} for agent in ("answer", "stop")}
    team = {"base": {"path": "none"}, "prompts": prompts}
    return {
        "seed_everything": 0,
        "model": {"class_path": "flowdpo_pl.FlowDPOModule", "init_args": {"team": team}},
    }


def _obeyed(where: str, texts: Iterable[str]) -> list[str]:
    return _told(where, set().union(*map(obeyed, texts)))


def _told(where: str, found: set[str]) -> list[str]:
    return [f"{where} has {', '.join(sorted(found)[:10])}"] if found else []


def _tensorboard(run: Path) -> list[str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
    found = [event for tag in events.Tags()["tensors"] for event in events.Tensors(tag)]
    return [event.tensor_proto.string_val[0].decode() for event in found]


def _wandb(run: Path) -> list[str]:
    tables = [json.loads(file.read_text("utf-8")) for file in run.glob("wandb/**/media/table/*.json")]
    return [str(cell) for table in tables for row in table["data"] for cell in row]


def _files(run: Path, answers: Sequence[HostileAnswer]) -> list[str]:
    """Are the trees those that were played, and the tables and the picture there?"""
    count, findings = 0, []
    for count, tree in enumerate(read_trees(run / "trees.jsonl"), 1):
        if tree.main.answer != answers[count - 1].text + answers[count - 1].text[:SHORT]:
            findings.append(f"tree {count} is another one")
    if count != len(answers):
        findings.append(f"{count} trees of {len(answers)}")
    rows = list(csv.reader((run / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    if len({len(row) for row in rows}) != 1:
        findings.append("metrics.csv has rows of several lengths")
    missing = [
        name for name in ("trees.parquet", "accuracy_curve.png", "summary.json") if not (run / name).exists()
    ]
    return [*findings, *(f"{name} is missing" for name in missing)]


def report_page(run: Path) -> tuple[Measured, list[str]]:
    """The page of `report` in a browser."""
    started = time.perf_counter()
    with taken_screen() as screen:
        report([run], megabytes=20, open=False)
    _, findings = _watched(run / "report.html", range(0))
    measured = {"mb": _megabytes(run / "report.html"), "seconds": round(time.perf_counter() - started)}
    return measured, findings + _obeyed("report", [screen.getvalue()])


def tree_pages(run: Path, starts: Iterable[int], count: int) -> tuple[Measured, list[str]]:
    """Every tree on a page of `view`, and opened there.

    Args:
        run: the run's folder.
        starts: the first problem of each page.
        count: of problems.
    """
    findings, opened, size, started = [], 0, 0.0, time.perf_counter()
    page = run / "view.html"
    for first in starts:
        numbers = range(first, min(first + PAGE, count + 1))
        with taken_screen() as screen:
            view(run, page, f"{numbers[0]}-{numbers[-1]}", megabytes=1000, open=False)
        seen, found = _watched(page, numbers)
        opened, size = opened + seen, size + _megabytes(page)
        findings += found + _obeyed("view", [screen.getvalue()])
    if CHROMIUM is not None and opened != count:
        findings.append(f"{opened} of {count} problems were opened")
    return {"opened": opened, "mb": round(size, 1), "seconds": round(time.perf_counter() - started)}, findings


def terminal_trees(run: Path, by_command: Iterable[int]) -> tuple[Measured, list[str]]:
    """Every tree as `show` prints it; these ones by the command itself."""
    kept = RunTrees.at(run)
    assert kept is not None
    commands = (partial(show, run, str(number)) for number in by_command)
    trees = (partial(print_tree, one.tree, kept.margin, str(one.number)) for one in kept.read())
    count, characters, findings = 0, 0, list[str]()
    for printed in chain(commands, trees):
        with taken_screen() as screen:
            printed()
        count += 1
        characters += len(screen.getvalue())
        findings += _obeyed("show", [screen.getvalue()])
    return {"printed": count, "characters": characters}, findings


def _watched(page: Path, numbers: Sequence[int]) -> tuple[int, list[str]]:
    """How many of these problems a browser opens, and what else it does: nothing that a text says."""
    if CHROMIUM is None:
        return 0, []
    with browser() as chromium:
        chromium.open(page)
        title = chromium.evaluate("document.title")
        opened = sum(_opened(chromium, some) for some in _in_parts(numbers, 100))
        findings = [f"{page.name} complains: {one[:200]}" for one in chromium.complaints[:3]]
        findings += [
            f"{page.name} asks for {url[:100]}" for url in chromium.requests if not _is_page(url, page)
        ]
        if title != chromium.evaluate("document.title"):
            findings.append(f"a script has run in {page.name}")
        if chromium.evaluate(_MARKUP):
            findings.append(f"a text is markup in {page.name}")
    return opened, findings


def _opened(chromium: Browser, numbers: Sequence[int]) -> int:
    return int(chromium.evaluate(_OPEN.format(numbers[0], numbers[-1])))


def _in_parts(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _is_page(url: str, page: Path) -> bool:
    return url == "about:blank" or url.split("#")[0] == page.resolve().as_uri()


def _megabytes(file: Path) -> float:
    return round(file.stat().st_size / 1e6, 1)
