"""The checks of engines on a server that a run starts for itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowdpo_pl.play.engines.vllm.settings import LocalVLLM
from tests import engine_checks as checks
from tests.conftest import World
from tests.engine_checks import Stage
from tests.finished_runs import fit_quickstart
from tests.runs import ROOT


@pytest.fixture(scope="module")
def server(vllm_python: str) -> LocalVLLM:
    return LocalVLLM(vllm_python, ("--max-num-seqs", "256"))


@pytest.fixture
def on_stage(server: LocalVLLM, make_world: Callable[..., World]) -> Iterator[Callable[..., Stage]]:
    """The model on a server of its own, with one end token, or with several."""
    world = make_world()
    with checks.staged(world, server, nats=5e-3) as on_stage:
        yield lambda *more_ends: on_stage((*world.head.end_ids, *more_ends))


def test_several_end_tokens_are_one_symbol(on_stage: Callable[..., Stage]) -> None:
    stage = on_stage(20, 21)
    checks.check_greedy_moves_in_order(stage)
    checks.check_forced_starts(stage)
    checks.check_ends_limits_and_logprobs(stage)
    checks.check_law_of_alternatives(stage, 1.0, draws=1000)


def test_a_real_server_passes_every_check(on_stage: Callable[..., Stage]) -> None:
    """In one test: a server takes a minute to start."""
    stage = on_stage()
    checks.check_empty_batches(stage)
    checks.check_law_of_choices(stage, temperature=0.0)
    checks.check_law_of_choices(stage)
    checks.check_law_of_choices(stage, temperature=0.5)
    checks.check_greedy_moves_in_order(stage)
    checks.check_forced_starts(stage)
    checks.check_ends_limits_and_logprobs(stage)
    for temperature in (1.0, 0.6, 2.0):
        checks.check_law_of_alternatives(stage, temperature, draws=1000)


def test_a_run_on_a_real_server(vllm_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit` of 16 problems."""
    monkeypatch.chdir(ROOT)
    run = fit_quickstart(
        tmp_path,
        "--model.team.engine=flowdpo_pl.LocalVLLM",
        f"--model.team.engine.init_args.python={vllm_python}",
    )
    assert json.loads((run / "summary.json").read_text())["problems_seen"] == 16
