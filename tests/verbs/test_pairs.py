"""`pairs` writes what training mined. Also tests `results.preference_rows`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import load_dataset
from transformers import AutoTokenizer

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.results.tree_io import read_trees
from flowdpo_pl.verbs.pairs import pairs
from tests.finished_runs import copied
from tests.runs import MODEL, ROOT


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(("name", "kind"), [("pairs.parquet", "parquet"), ("pairs.jsonl", "json")])
def test_a_table_has_every_pair_of_the_trees(
    name: str, kind: str, finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs(finished_run, tmp_path / name)
    rows = list(
        load_dataset(kind, data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "c"))
    )
    known = mine(read_trees(finished_run / "trees.jsonl")).pairs
    assert [(row["agent"], row["node"], row["problem_id"]) for row in rows] == [
        (pair.agent, pair.node, pair.problem.id) for pair in known
    ]
    for side in ("chosen", "rejected"):
        assert [tuple(row[f"{side}_ids"]) for row in rows] == [
            getattr(pair, side).token_ids for pair in known
        ]
    summary = json.loads((finished_run / "summary.json").read_text())["pairs"]
    told = capsys.readouterr().out.strip()
    counts = ", ".join(f"{agent} {number}" for agent, number in sorted(summary.items()))
    assert told == f"{tmp_path / name}: {len(known)} pairs ({counts})"


def test_prompt_and_completion_read_as_the_tokens_that_were_played(
    finished_run: Path, tmp_path: Path
) -> None:
    """So that another trainer, which tokenises the text, learns the same: but for its end token."""
    pairs(finished_run, tmp_path / "pairs.jsonl")
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert {row["agent"] for row in rows} == {"answer", "stop"}
    for row in rows:
        assert tokenizer(row["prompt"], add_special_tokens=False).input_ids == row["prompt_ids"]
        for side in ("chosen", "rejected"):
            whole = tokenizer(row["prompt"] + row[side], add_special_tokens=False).input_ids
            moved = row[f"{side}_ids"]
            assert row["prompt_ids"] + [token for token in moved if token != tokenizer.eos_token_id] == whole


def test_a_run_without_trees_and_a_file_without_a_format_are_refused(
    finished_run: Path, tmp_path: Path
) -> None:
    run = copied(finished_run, tmp_path)
    with pytest.raises(UserError, match=r"pairs\.csv says no format: .* \.parquet or \.jsonl"):
        pairs(run, tmp_path / "pairs.csv")
    (run / "trees.jsonl").unlink()
    with pytest.raises(UserError, match="kept no trees"):
        pairs(run, tmp_path / "pairs.jsonl")
    assert not list(tmp_path.glob("pairs*"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("dtype: float32", "dtype: float99", r"the base of .* can't be used .*float99"),
        ("dtype: float32", "dtype: float32\n        colour: 1", r"the base of .* can't be used .*colour"),
        ("      user:", "      shout: 1\n          user:", r"the prompt of 'answer' of .* used .*shout"),
    ],
)
def test_settings_that_a_run_cannot_have_are_named(
    old: str, new: str, told: str, finished_run: Path, tmp_path: Path
) -> None:
    run = copied(finished_run, tmp_path)
    config = (run / "config.yaml").read_text()
    assert old in config
    (run / "config.yaml").write_text(config.replace(old, new, 1))
    with pytest.raises(UserError, match=told):
        pairs(run, tmp_path / "pairs.jsonl")
