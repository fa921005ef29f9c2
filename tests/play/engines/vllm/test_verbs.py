"""The verbs that play, on a scripted server with the real weights: the same greedy answers as here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowdpo_pl.cli import main
from flowdpo_pl.verbs.ask import ask
from tests.fake_vllm import FakeVLLM, PeftLogits, serving
from tests.finished_runs import SOURCE
from tests.runs import MODEL

QUESTION = "Tom has 3 stones. He finds 4 more. How many stones does Tom have?"
WRITTEN = {
    "test": "test/predictions.jsonl",
    "predict": "predict/traces.jsonl",
    "validate": "validate/summary.json",
}
PLAYED = ("text", "answer", "correct", "chooser_questions", "progressive_accuracy", "generated_tokens")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(FakeVLLM(PeftLogits(MODEL))) as url:
        yield url


@pytest.mark.parametrize("verb", WRITTEN)
def test_a_verb_plays_on_servers_what_it_plays_here(
    verb: str, finished_run: Path, tmp_path: Path, url: str
) -> None:
    data = "validation" if verb == "validate" else verb
    servers = f"{{class_path: flowdpo_pl.VLLM, init_args: {{servers: ['{url}']}}}}"
    found = []
    for engine in ("flowdpo_pl.Native", servers):
        folder = tmp_path / str(len(found))
        main(
            [
                verb,
                f"--run={finished_run}",
                f"--data.{data}.path={SOURCE}",
                f"--data.{data}.limit=4",
                "--model.sampling.temperature=0",
                f"--model.team.engine={engine}",
                f"--trainer.logger.init_args.save_dir={folder}",
                "--trainer.logger.init_args.name=run",
            ]
        )
        rows = (folder / "run" / WRITTEN[verb]).read_text()
        read = [json.loads(rows)] if verb == "validate" else [*map(json.loads, rows.splitlines())]
        found.append([{key: row[key] for key in PLAYED if key in row} for row in read])
    here, there = found
    assert here == there and all(here)


def test_questions_are_asked_on_servers(
    finished_run: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for engine in (
        "flowdpo_pl.Native",
        f"{{class_path: flowdpo_pl.VLLM, init_args: {{servers: ['{url}']}}}}",
    ):
        ask(finished_run, QUESTION, greedy=True, json=True, engine=engine)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    here, there = ([move["text"] for move in said["moves"]] for said in lines)
    assert here == there
