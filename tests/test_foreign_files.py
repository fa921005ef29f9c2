"""Files that somebody else wrote or changed: whatever stands in them is read, or refused by its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.adapter_config import adapter_config
from flowdpo_pl.model.lora import adapter_fingerprint
from flowdpo_pl.report.fork_counts import counted_in_trees
from flowdpo_pl.results.judged_answers import read_unfinished, unfinished_header, unfinished_line
from flowdpo_pl.results.predictions import Prediction, to_line
from flowdpo_pl.results.run_results import RunResults
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.results.tested import read_test
from flowdpo_pl.results.traces import Trace, read_traces
from flowdpo_pl.results.tree_io import tree_to_dict
from flowdpo_pl.verbs.compare import compare
from flowdpo_pl.verbs.show import show
from flowdpo_pl.verbs.view import view
from tests.example_trees import group_tree
from tests.mutants import mutants

PREDICTION = Prediction(
    *("a", "how many?", "5", "It is 5.", True),
    extracted="5",
    chunks=2,
    tokens=9,
    labels={"level": "1"},
    chooser_questions=(("none", False), ("right", True)),
)
TRACE = Trace("a", "how many?", "5", "It is 5.", True, made_by={"seed": 1}, token_ids=(1, 2))
DEEP = ("[" * 100_000, '{"a":' * 100_000)


def refused(read: Callable[[], object], place: str) -> bool:
    """Whether it is refused; by its place then, and by nothing else."""
    try:
        read()
    except UserError as error:
        assert place in str(error), str(error)
        return True
    return False


def written(file: Path, *rows: Any) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_a_tree_with_anything_in_any_place_is_shown_or_refused(tmp_path: Path) -> None:
    tree = tree_to_dict(group_tree(1))
    tree["problem"]["labels"] = {"level": "1"}
    good = {"problems_seen": 4, **tree}
    ends = []
    for mutant in mutants(good):
        file = written(tmp_path / "trees.jsonl", good, mutant)
        for read in (
            lambda: show(tmp_path, "2"),
            lambda: view(tmp_path, open=False),
            lambda file=file: counted_in_trees(RunTrees(file, 0.0)),
        ):
            ends.append(refused(read, f"{file}, line 2: not a rollout tree ("))
    assert len(ends) > 1000 and any(ends) and not all(ends)


def test_a_prediction_with_anything_in_any_place_is_shown_or_refused(tmp_path: Path) -> None:
    good = asdict(PREDICTION)
    a = written(tmp_path / "a" / "predictions.jsonl", good).parent
    ends = []
    for mutant in mutants(json.loads(to_line(PREDICTION))):
        b = written(tmp_path / "b" / "predictions.jsonl", {**good, "sample": 1}, mutant).parent
        for read in (
            lambda b=b: show(b, "1"),
            lambda b=b: view(b, open=False),
            lambda b=b: compare(a, b, resamples=10),
        ):
            ends.append(refused(read, ""))
    assert len(ends) > 500 and any(ends) and not all(ends)


def test_a_trace_with_anything_in_any_place_is_read_or_refused(tmp_path: Path) -> None:
    ends = []
    for mutant in mutants(asdict(TRACE)):
        file = written(tmp_path / "t.jsonl", {**asdict(TRACE), "problem_id": "b"}, mutant)
        ends.append(refused(lambda file=file: read_traces(file), f"{file}, line 2"))
    assert any(ends) and not all(ends)


def test_an_unfinished_test_with_anything_in_any_place_is_taken_up_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "predictions.unfinished.jsonl"
    ends = []
    for mutant in mutants([json.loads(unfinished_line([PREDICTION]))[0]]):
        file.write_text(f"{unfinished_header({})}\n{json.dumps(mutant)}\n")
        ends.append(refused(lambda: read_unfinished(file, {}), f"{file}, line 2"))
    assert any(ends) and not all(ends)
    file.write_bytes(b"\xff\n")
    assert refused(lambda: read_unfinished(file, {}), f"{file}, line 1")


def test_an_adapter_s_config_with_anything_in_any_place_is_read_or_refused(tmp_path: Path) -> None:
    config = {
        "peft_type": "LORA",
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj"],
    }
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    ends = []
    for mutant in mutants({**config, "use_rslora": True, "task_type": "CAUSAL_LM", "bias": "none"}):
        (tmp_path / "adapter_config.json").write_text(json.dumps(mutant))
        ends.append(refused(lambda: adapter_fingerprint(tmp_path), str(tmp_path)))
    assert any(ends) and not all(ends)
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    (tmp_path / "adapter_model.safetensors").unlink()
    (tmp_path / "adapter_model.safetensors").mkdir()
    assert refused(lambda: adapter_fingerprint(tmp_path), "it has no adapter_model.safetensors")


@pytest.mark.parametrize("text", DEEP, ids=["list", "object"])
def test_brackets_nested_too_deep_are_refused_wherever_json_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "predictions.jsonl").write_text(to_line(PREDICTION))
    readers: dict[str, Callable[[], object]] = {
        "trees.jsonl": lambda: show(tmp_path / "trees.jsonl", "1"),
        "predictions.jsonl": lambda: view(tmp_path / "predictions.jsonl", open=False),
        "predictions.unfinished.jsonl": lambda: read_unfinished(
            tmp_path / "predictions.unfinished.jsonl", {}
        ),
        "traces.jsonl": lambda: read_traces(tmp_path / "traces.jsonl"),
        "adapter_config.json": lambda: adapter_config(tmp_path),
        "summary.json": lambda: RunResults(tmp_path).summary,
        "good/summary.json": lambda: read_test(tmp_path / "good"),
    }
    for name, read in readers.items():
        (tmp_path / name).write_text(text + "\n")
        assert refused(read, str(tmp_path / name)), name
