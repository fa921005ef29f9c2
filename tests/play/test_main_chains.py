"""Main chains alone: a sample's answers are those of its draws, and say how they were made."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.play.main_chains import MainChains
from flowdpo_pl.play.team import Start
from flowdpo_pl.types import Problem
from flowdpo_pl.verify.math_verifier import MathVerifier
from tests.play.test_team import TEAM

PROBLEMS = [Problem(f"p{n}", f"Amy has {n} pens. She buys 3 more. How many pens?", "9") for n in range(4)]


def chains(start: Start = Start(), seed: int = 0) -> MainChains:
    team = replace(TEAM, start=start)
    return MainChains(team, team.load(seed=0), Sampling(), MathVerifier(), Draws(seed))


def test_the_first_sample_has_the_run_s_own_draws_and_others_their_own() -> None:
    played = chains()
    plain = played.players.rollouts(played.sampling, played.verifier, played.draws).play(PROBLEMS)
    assert played.play(PROBLEMS, 0).trees == plain.trees
    assert played.play(PROBLEMS, 1).trees != plain.trees
    assert played.play(PROBLEMS, 1).trees == played.play(PROBLEMS, 1).trees
    assert all(not tree.forks for tree in plain.trees)


def test_how_they_were_made_depends_on_weights_and_not_on_folders(tmp_path: Path) -> None:
    chains().players.agents.save(tmp_path)
    shutil.copytree(tmp_path / ANSWER, tmp_path / "elsewhere")
    here, there = (chains(Start({ANSWER: str(tmp_path / name)})) for name in (ANSWER, "elsewhere"))
    assert here.made_by == there.made_by == json.loads(json.dumps(here.made_by))
    other = chains(Start({STOP: str(tmp_path / STOP)}), seed=1)
    assert {key for key, value in other.made_by.items() if value != here.made_by[key]} == {"adapters", "seed"}
