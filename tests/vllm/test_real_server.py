"""The checks of engines on a server that a run starts for itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from flowdpo_pl.play.engines.engine_settings import OpenEngine
from flowdpo_pl.play.engines.vllm.settings import LocalVLLM
from tests import engine_checks as checks
from tests.conftest import World
from tests.engine_checks import Floats, Stage
from tests.finished_runs import fit_quickstart
from tests.play.engines.test_conformance import PREFIXES
from tests.runs import ROOT


@pytest.fixture(scope="module")
def server(vllm_python: str) -> LocalVLLM:
    return LocalVLLM(vllm_python, ("--max-num-seqs", "256"))


@pytest.fixture
def stage(server: LocalVLLM, make_world: Callable[..., World]) -> Iterator[Stage]:
    world = make_world()
    opened: OpenEngine = server.open(world.agents, world.head, decode_tokens=1)

    def plain(agent: str, token_ids: Sequence[int]) -> Floats:
        return world.plain.logits(agent, token_ids).detach().double().numpy()

    yield Stage(
        engine=lambda sampling: opened.engine(world.draws, sampling),
        logits=plain,
        draws=world.draws,
        agents=world.agents.names,
        prefixes=PREFIXES,
        words=(7, 8, 9),
        end_ids=world.head.end_ids,
        nats=5e-3,
    )
    opened.close()


def test_a_real_server_passes_every_check(stage: Stage) -> None:
    """In one test: a server takes a minute to start."""
    checks.check_empty_batches(stage)
    checks.check_law_of_choices(stage)
    checks.check_law_of_choices(stage, temperature=0.5)
    checks.check_greedy_moves_in_order(stage)
    checks.check_forced_starts(stage)
    checks.check_ends_limits_and_logprobs(stage)
    for temperature in (1.0, 0.6, 2.0):
        checks.check_law_of_alternatives(stage, temperature, draws=1000)


def test_a_run_on_a_real_server(vllm_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit`, and `ask` of what it made."""
    monkeypatch.chdir(ROOT)
    run = fit_quickstart(
        tmp_path,
        "--model.team.engine=flowdpo_pl.LocalVLLM",
        f"--model.team.engine.init_args.python={vllm_python}",
    )
    assert json.loads((run / "summary.json").read_text())["problems_seen"] == 16
