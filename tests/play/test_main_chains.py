"""Main chains alone: a sample's answers are those of its draws, and say how they were made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.play.main_chains import MainChains
from flowdpo_pl.play.rollouts import Play, Rollouts
from flowdpo_pl.play.team import Start
from flowdpo_pl.types import Problem, RolloutTree
from flowdpo_pl.verify.math_verifier import MathVerifier
from tests.play.test_team import TEAM

PROBLEMS = [Problem(f"p{n}", f"Amy has {n} pens. She buys 3 more. How many pens?", "9") for n in range(4)]


def of_sample(played: MainChains, number: int) -> list[RolloutTree]:
    return [tree for (tree,) in played.play(PROBLEMS, [number]).trees]


def moves(tree: RolloutTree) -> list[tuple[int, ...]]:
    return [move.token_ids for move in tree.main.moves]


def chains(start: Start = Start(), seed: int = 0) -> MainChains:
    team = replace(TEAM, start=start)
    return MainChains(team, team.load(seed=0), Sampling(), MathVerifier(), Draws(seed))


def test_the_first_sample_has_the_run_s_own_draws_and_others_their_own() -> None:
    played = chains()
    plain = played.players.rollouts(played.sampling, played.verifier, played.draws).play(PROBLEMS)
    assert of_sample(played, 0) == list(plain.trees)
    assert of_sample(played, 1) != list(plain.trees)
    assert of_sample(played, 1) == of_sample(played, 1)
    assert all(not tree.forks for tree in plain.trees)


@pytest.mark.parametrize("swapped", [(), (ANSWER,), (ANSWER, STOP)])
@pytest.mark.parametrize("samples", [1, 2, 3, 9])
def test_samples_together_are_those_played_one_by_one(samples: int, swapped: tuple[str, ...]) -> None:
    """Also where moves are swapped: with those of other problems, whatever the samples."""
    played = replace(chains(), swapped=swapped)
    together = played.play(PROBLEMS, range(samples))
    assert [tree[0].problem for tree in together.trees] == PROBLEMS
    for number in range(samples):
        for trees, alone in zip(together.trees, of_sample(played, number), strict=True):
            assert trees[number].problem == alone.problem
            assert trees[number].main.answer == alone.main.answer
            assert moves(trees[number]) == moves(alone)


@pytest.mark.parametrize("samples", [2, 3, 9])
def test_as_many_play_together_as_there_are_problems(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several samples take no more memory than one, and no more plays than one by one."""
    played, rows = chains(), []
    play = Rollouts.play

    def counted(rollouts: Rollouts, problems: Sequence[Problem], **options: Any) -> Play:
        rows.append(len(problems))
        return play(rollouts, problems, **options)

    monkeypatch.setattr(Rollouts, "play", counted)
    played.play(PROBLEMS, range(samples))
    assert rows == [len(PROBLEMS)] * samples


def test_how_they_were_made_depends_on_weights_and_not_on_folders(tmp_path: Path) -> None:
    chains().players.agents.save(tmp_path)
    shutil.copytree(tmp_path / ANSWER, tmp_path / "elsewhere")
    here, there = (chains(Start({ANSWER: str(tmp_path / name)})) for name in (ANSWER, "elsewhere"))
    assert here.made_by == there.made_by == json.loads(json.dumps(here.made_by))
    other = chains(Start({STOP: str(tmp_path / STOP)}), seed=1)
    assert {key for key, value in other.made_by.items() if value != here.made_by[key]} == {"adapters", "seed"}
