"""`ask`: put a question to a finished run, and read along while its agents play."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdpo_pl.errors import COUNT, UserError, require_within
from flowdpo_pl.results.trained_run import TrainedRun
from flowdpo_pl.verbs.asked import questions
from flowdpo_pl.verbs.base_argument import naming_base

if TYPE_CHECKING:
    from flowdpo_pl.modules.evaluation_module import EvaluationModule
    from flowdpo_pl.results.predictions import Prediction
    from flowdpo_pl.types import Move, Problem


def ask(
    run: Path,
    question: str | None = None,
    file: Path | None = None,
    which: str = "last",
    base: str | None = None,
    engine: str | None = None,
    samples: int = 1,
    greedy: bool = False,
    temperature: float | None = None,
    seed: int | None = None,
    json: bool = False,
) -> None:
    """Play a finished run's flow on questions of one's own; nothing is written to the run's folder.

    Args:
        run: folder of a run of `fit`.
        question: the question, in quotes; without it and a file, standard input has one a line.
        file: questions, one a line, or a .jsonl whose objects have the key `question`.
        which: adapters of the run: last, best, or another name in its `adapters`.
        base: folder or hub id of the base, where the run's own is not there.
        engine: what it plays on; null: this machine, or the run's own where FLOWDPO_TRUST lists the run.
        samples: answers a question, which then vote.
        greedy: always the likeliest token and word.
        temperature: of the sampling; null: the run's own.
        seed: of every draw; null: the run's own.
        json: print one line of JSON an answer.
    """
    require_within(COUNT, {"samples": samples})
    if greedy and temperature is not None:
        raise UserError("--greedy and --temperature are both given: leave one of them out.")
    if samples > 1 and (greedy or temperature == 0):
        raise UserError(f"samples is {samples}, but greedy answers are all the same: leave one of them out.")
    asked = questions(question, file)
    trained = TrainedRun.at(run)
    trained.adapters(which)
    if base is None:
        trained.base_path(by="--base")
    with naming_base():
        module = loaded(run, which, base, _distribution(trained, greedy, temperature), seed, engine)
    try:
        for one in asked:
            _answer(module, one, samples, json)
    finally:
        module.verifier.close()
        module.teardown("test")


def _distribution(run: TrainedRun, greedy: bool, temperature: float | None) -> dict[str, Any]:
    """Temperature and top-p: those of the run's play, unless others are given."""
    own = dict(run.settings.get("sampling") or {"temperature": 1.0})
    if greedy or temperature is not None:
        own["temperature"] = 0.0 if greedy else temperature
    return own


def loaded(
    run: Path,
    which: str,
    base: str | None,
    sampling: dict[str, Any],
    seed: int | None,
    engine: str | None = None,
) -> EvaluationModule:
    """What would play in `test --run`, loaded."""
    import torch

    from flowdpo_pl.cli import described
    from flowdpo_pl.command_line.taken_run import run_argument
    from flowdpo_pl.modules.evaluation_module import EvaluationModule

    words = [f"--model.sampling.{key}={value}" for key, value in sampling.items()]
    words += [] if base is None else [f"--model.team.base.path={base}"]
    words += [] if engine is None else [f"--model.team.engine={engine}"]
    words += [] if seed is None else [f"--seed_everything={seed}"]
    told = described(["test", *run_argument(run, which), *words])
    module = told.model
    assert isinstance(module, EvaluationModule)
    module.configure_model()
    if told.config["test"].trainer.accelerator != "cpu" and torch.cuda.is_available():
        module.to("cuda")
    return module.eval()


def _answer(module: EvaluationModule, question: str, samples: int, json: bool) -> None:
    from flowdpo_pl.play.asking import Asking
    from flowdpo_pl.results.judged_answers import prediction
    from flowdpo_pl.results.predictions import vote
    from flowdpo_pl.verbs.flow_screen import FlowScreen

    asking = Asking(module.chains)
    problem = asking.problem(question)
    screen = None if json else FlowScreen(module.players.flow.agents)
    if screen is not None:
        screen.question(problem.question)
    answers: list[tuple[Prediction, tuple[Move, ...]]] = []
    for number in range(samples):
        if screen is not None and samples > 1:
            screen.sample(number + 1, samples)
        tree = asking.answer(problem, number, screen.move if screen is not None else _unheard)
        answers.append((prediction(tree, number, module.chains), tree.main.moves))
        if screen is not None:
            screen.result(answers[-1][0].extracted)
    voted = vote([answer for answer, _ in answers])
    if screen is not None:
        if samples > 1:
            screen.vote(voted, samples)
        print(flush=True)
        return
    for answer, moves in answers:
        row = dict(_row(problem, answer, moves, taken=answer is voted.winner))
        print(json_text.dumps(row).replace("\x7f", "\\u007f"), flush=True)  # ASCII: no terminal obeys it


def _row(
    problem: Problem, answer: Prediction, moves: tuple[Move, ...], taken: bool
) -> Iterator[tuple[str, Any]]:
    yield "question", problem.question
    yield "problem_id", problem.id
    yield "sample", answer.sample
    yield "text", answer.text
    yield "extracted", answer.extracted
    yield "taken", taken
    yield "cut", answer.cut
    yield "tokens", answer.tokens
    yield "moves", [{"agent": one.agent, "text": one.text, "option": one.option} for one in moves]


def _unheard(move: Move) -> None:
    """JSON has an answer when it is whole."""
