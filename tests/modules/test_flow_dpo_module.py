"""Runs through Lightning: what learns, what stays, and that a run is a function of its seed alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.learner import Learning
from flowdpo_pl.learn.losses import (
    HingeLoss,
    IPOLoss,
    LengthNormalisedLoss,
    PairScores,
    PreferenceLoss,
    SigmoidLoss,
    SigmoidNLLLoss,
)
from flowdpo_pl.learn.policy_gradient import ClippedPolicyGradient, PolicyGradient
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import NodeGroups
from flowdpo_pl.play.flow import Turn
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.team import Budget, Start
from flowdpo_pl.types import Move
from tests.runs import PROMPTS, Recorder, data, module, trainer, weights


def fit(folder: Path, ckpt_path: Path | None = None, **options: Any) -> tuple[Any, Recorder]:
    recorder, run = Recorder(), module(**options)
    trainer(folder, recorder).fit(run, data(), ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    return run, recorder


def assert_same_weights(one: Any, other: Any) -> None:
    for (name, a), b in zip(weights(one).items(), weights(other).values(), strict=True):
        assert torch.equal(a, b), name


def test_first_loss_is_ln_2_for_both_agents(tmp_path: Path) -> None:
    _, recorder = fit(tmp_path, max_problems=8)
    for agent in (ANSWER, STOP):
        assert recorder.values[0][f"{agent}/pairs"] > 0
        assert recorder.values[0][f"{agent}/loss"] == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "first"),
    [(IPOLoss(tau=0.2), 6.25), (HingeLoss(), 1.0), (LengthNormalisedLoss(), math.log(2))],
    ids=lambda value: type(value).__name__,
)
def test_the_first_loss_of_a_run_is_the_one_its_class_documents(
    tmp_path: Path, loss: PreferenceLoss, first: float
) -> None:
    _, recorder = fit(tmp_path, max_problems=16, learning=Learning(lr=3e-3, loss=loss))
    for agent in (ANSWER, STOP):
        assert recorder.values[0][f"{agent}/loss"] == pytest.approx(first, abs=1e-4)
        assert recorder.values[1][f"{agent}/loss"] != pytest.approx(first, abs=1e-4)


@dataclass(frozen=True)
class Overheard(SigmoidNLLLoss):
    """Keeps what a token of each chosen move costs."""

    costs: ClassVar[list[float]] = []

    def __call__(self, scores: PairScores) -> torch.Tensor:
        self.costs.extend((-scores.policy_chosen / scores.chosen_tokens).detach().tolist())
        return super().__call__(scores)


def test_the_first_loss_of_dpo_plus_nll_is_log_2_and_the_chosen_moves_cost_a_token(tmp_path: Path) -> None:
    Overheard.costs.clear()
    _, recorder = fit(tmp_path, max_problems=8, learning=Learning(lr=3e-3, loss=Overheard(alpha=0.5)))
    values = recorder.values[0]
    pairs = [values[f"{agent}/pairs"] for agent in (ANSWER, STOP)]
    mean = sum(values[f"{agent}/loss"] * n for agent, n in zip((ANSWER, STOP), pairs, strict=True)) / sum(
        pairs
    )
    assert len(Overheard.costs) == sum(pairs) > 0
    assert mean == pytest.approx(math.log(2) + 0.5 * sum(Overheard.costs) / sum(pairs), abs=1e-4)


def test_fit_without_any_alternative_is_refused(tmp_path: Path) -> None:
    run = module(sampling=Sampling(temperature=0.0))
    with pytest.raises(UserError, match=r"model\.sampling\.temperature is 0"):
        trainer(tmp_path).fit(run, data())
    trainer(tmp_path).validate(run, data())


def test_both_agents_learn_and_the_base_stays_bit_identical(tmp_path: Path) -> None:
    run = module()
    before = {name: p.detach().clone() for name, p in run.players.agents.named_parameters()}
    trainer(tmp_path).fit(run, data())
    moved = {name for name, p in run.players.agents.named_parameters() if not torch.equal(p, before[name])}
    assert all("lora_" in name for name in moved)
    for agent in (ANSWER, STOP):
        assert any(f".{agent}." in name for name in moved)


@pytest.mark.parametrize(("frozen", "learner"), [(ANSWER, STOP), (STOP, ANSWER)])
def test_updating_one_agent_leaves_the_other_bit_identical(tmp_path: Path, frozen: str, learner: str) -> None:
    run = module(max_problems=8)
    play = run.rollouts.play
    run.rollouts.play = lambda *a: _without_forks_of(frozen, play(*a))  # type: ignore[method-assign]
    before = weights(run)
    trainer(tmp_path).fit(run, data())
    after = weights(run)
    assert all(torch.equal(after[name], before[name]) for name in before if f".{frozen}." in name)
    assert any(not torch.equal(after[name], before[name]) for name in before if f".{learner}." in name)


def _without_forks_of(agent: str, play: Any) -> Any:
    from dataclasses import replace

    trees = tuple(
        replace(tree, forks=tuple(fork for fork in tree.forks if fork.taken.agent != agent))
        for tree in play.trees
    )
    return replace(play, trees=trees)


def test_batch_shapes_do_not_matter(tmp_path: Path) -> None:
    small, one = fit(tmp_path, budget=Budget(decode_tokens=1, update_tokens=1))
    large, eight = fit(tmp_path, budget=Budget(decode_tokens=10**6, update_tokens=10**6))
    # `preferred` asks for a sign, which is rounding where policy and reference are still the same
    free = ("seconds", "per_second", "memory", "preferred")
    keys = [key for key in one.values[0] if not any(word in key for word in free)]
    for a, b in zip(one.values, eight.values, strict=True):
        assert [a[key] for key in keys] == pytest.approx([b[key] for key in keys], abs=2e-4, nan_ok=True)
    for name, value in weights(small).items():
        torch.testing.assert_close(weights(large)[name], value, atol=2e-4, rtol=1e-3)


def test_activation_checkpointing_changes_nothing(tmp_path: Path) -> None:
    plain, _ = fit(tmp_path)
    checkpointed, _ = fit(tmp_path, budget=Budget(activation_checkpointing=True))
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(checkpointed)[name], value, atol=1e-6, rtol=1e-5)


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole, recorder = fit(tmp_path)
    part = module(max_problems=8)
    stopped = trainer(tmp_path)
    stopped.fit(part, data())
    stopped.save_checkpoint(tmp_path / "part.ckpt")
    resumed, rest = fit(tmp_path, ckpt_path=tmp_path / "part.ckpt")
    assert rest.problems == recorder.problems[1:]
    assert rest.values[-1]["progressive_accuracy"] == recorder.values[-1]["progressive_accuracy"]
    assert rest.values[-1]["window_accuracy"] == recorder.values[-1]["window_accuracy"]
    assert_same_weights(whole, resumed)


def test_dropout_is_a_function_of_the_seed_too(tmp_path: Path) -> None:
    from flowdpo_pl.model.lora import LoraSettings

    lora = LoraSettings(r=4, alpha=8, dropout=0.3)
    one, _ = fit(tmp_path, lora=lora)
    torch.rand(7)  # whatever else draws from torch's generator
    other, _ = fit(tmp_path, lora=lora)
    assert_same_weights(one, other)


def test_a_checkpoint_holds_adapters_only_and_loads_weights_only(tmp_path: Path) -> None:
    run = module(max_problems=8)
    fitted = trainer(tmp_path)
    fitted.fit(run, data())
    fitted.save_checkpoint(tmp_path / "c.ckpt")
    saved = torch.load(tmp_path / "c.ckpt", weights_only=True)
    assert saved["state_dict"] and all(".lora_" in name for name in saved["state_dict"])
    assert (tmp_path / "c.ckpt").stat().st_size < 1_000_000


def test_a_checkpoint_of_another_flow_is_refused(tmp_path: Path) -> None:
    run = module(max_problems=8)
    fitted = trainer(tmp_path)
    fitted.fit(run, data())
    fitted.save_checkpoint(tmp_path / "c.ckpt")
    with pytest.raises(
        UserError, match=r"the checkpoint was made otherwise: flow\.chunk_tokens was 12 and is 6"
    ):
        fit(tmp_path, ckpt_path=tmp_path / "c.ckpt", flow=AnswerStopFlow(chunk_tokens=6, max_chunks=4))


def test_peft_alone_loads_the_saved_adapters(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from tests.runs import MODEL

    run, _ = fit(tmp_path)
    run.save_adapters(tmp_path / "adapters")
    base = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    for agent in (ANSWER, STOP):
        plain = PeftModel.from_pretrained(base, tmp_path / "adapters" / agent, adapter_name=agent)
        own = {name: value for name, value in weights(run).items() if f".{agent}." in name}
        theirs = {name: value for name, value in plain.named_parameters() if f".{agent}." in name}
        assert own.keys() == theirs.keys() and all(torch.equal(own[name], theirs[name]) for name in own)


def test_validation_plays_without_learning(tmp_path: Path) -> None:
    run = module()
    before = weights(run)
    measured = trainer(tmp_path, limit_val_batches=1.0).validate(run, data(), verbose=False)[0]
    assert measured["validation/problems"] == 16
    interval = [measured[f"validation/{name}"] for name in ("low", "accuracy", "high")]
    assert interval == sorted(interval) and interval[0] >= 0 and interval[2] <= 1
    assert measured["validation/chooser/chains"] == 16, "of all batches"
    assert all(torch.equal(value, before[name]) for name, value in weights(run).items())
    again = trainer(tmp_path, limit_val_batches=1.0).validate(module(), data(), verbose=False)[0]
    assert again == pytest.approx(measured, nan_ok=True)


@pytest.mark.parametrize("who", ["untrained", "of a checkpoint", "of adapters"])
def test_validation_says_whose_agents_play(who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, fitted = module(max_problems=8), trainer(tmp_path)
    fitted.fit(trained, data())
    fitted.save_checkpoint(tmp_path / "c.ckpt")
    trained.save_adapters(tmp_path / "adapters")
    run, told, checkpoint = module(), "the untrained agents; --ckpt_path=last", None
    if who == "of a checkpoint":
        checkpoint, told = tmp_path / "c.ckpt", "the agents after 8 problems of training"
    elif who == "of adapters":
        start = Start({agent: str(tmp_path / "adapters" / agent) for agent in (ANSWER, STOP)})
        run, told = module(start=start), "the agents of model.team.start.adapters"
    said: list[str] = []
    monkeypatch.setattr("flowdpo_pl.modules.flow_dpo_module.rank_zero_info", said.append)
    again = trainer(tmp_path, limit_val_batches=1)
    again.validate(
        run, data(), ckpt_path=checkpoint, weights_only=True if checkpoint else None, verbose=False
    )
    assert f"validate: {told}" in "\n".join(said)


def test_pairs_per_update_takes_several_steps(tmp_path: Path) -> None:
    run, recorder = module(max_problems=8, pairs_per_update=2), Recorder()
    fitted = trainer(tmp_path, recorder)
    fitted.fit(run, data())
    steps = sum(math.ceil(recorder.values[0][f"{agent}/pairs"] / 2) for agent in (ANSWER, STOP))
    assert fitted.global_step == steps > 2


class NotFinite(SigmoidLoss):
    def __call__(self, scores: PairScores) -> torch.Tensor:
        return super().__call__(scores) * float("nan")


def test_a_loss_that_is_not_finite_sets_the_batch_aside(tmp_path: Path) -> None:
    learning = {STOP: Learning(lr=3e-3, loss=NotFinite())}
    run = module(max_problems=8, agent_learning=learning)
    before = weights(run)
    with pytest.warns(UserWarning, match="set aside"):
        trainer(tmp_path).fit(run, data())
    after = weights(run)
    assert [entry["agent"] for entry in run.set_aside] == [STOP] and run.set_aside[0]["problems"]
    assert all(torch.equal(after[name], before[name]) for name in before if f".{STOP}." in name)
    assert any(not torch.equal(after[name], before[name]) for name in before if f".{ANSWER}." in name)


def test_out_of_memory_halves_the_budget_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowdpo_pl.learn import learner
    from flowdpo_pl.learn.scoring import MicroBatch

    plain, _ = fit(tmp_path, max_problems=8)
    scored = learner.move_logprobs
    refused: list[int] = []

    def small_machine(agents: Any, batch: MicroBatch, head: Any) -> torch.Tensor:
        if batch.token_ids.numel() > 300:
            refused.append(batch.token_ids.numel())
            raise torch.OutOfMemoryError
        return scored(agents, batch, head)

    monkeypatch.setattr(learner, "move_logprobs", small_machine)
    squeezed, _ = fit(tmp_path, max_problems=8)
    assert refused
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(squeezed)[name], value, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("frozen", [ANSWER, STOP])
def test_a_frozen_agent_plays_but_stays_bit_identical(tmp_path: Path, frozen: str) -> None:
    run, recorder = module(max_problems=16, frozen=[frozen]), Recorder()
    before = weights(run)
    trainer(tmp_path, recorder).fit(run, data())
    assert recorder.values[0][f"{frozen}/pairs"] > 0 and f"{frozen}/loss" not in recorder.values[0]
    for name, value in weights(run).items():
        assert torch.equal(value, before[name]) == (f".{frozen}." in name), name


def test_a_frozen_agent_must_exist_and_another_must_learn() -> None:
    with pytest.raises(UserError, match=r"model.frozen names 'stopp'"):
        module(frozen=["stopp"])
    with pytest.raises(UserError, match="leave one agent to learn"):
        module(frozen=[ANSWER, STOP])


def test_a_budget_of_tokens_ends_the_run_also_when_resumed(tmp_path: Path) -> None:
    _, all_batches = fit(tmp_path)
    tokens = [values["generated_tokens"] for values in all_batches.values]
    budget = int(tokens[0]) + 1  # reached within the second batch of three
    run, recorder = fit(tmp_path, max_generated_tokens=budget)
    assert len(recorder.values) == 2
    part = module(max_problems=8)
    stopped = trainer(tmp_path)
    stopped.fit(part, data())
    stopped.save_checkpoint(tmp_path / "part.ckpt")
    resumed, rest = fit(tmp_path, ckpt_path=tmp_path / "part.ckpt", max_generated_tokens=budget)
    assert rest.problems == recorder.problems[1:]
    assert_same_weights(run, resumed)
    _, spent = fit(tmp_path, ckpt_path=tmp_path / "part.ckpt", max_generated_tokens=int(tokens[0]))
    assert spent.problems == []


def test_whole_trajectories_teach_both_agents(tmp_path: Path) -> None:
    from flowdpo_pl.play.exploration import WholeTrajectories

    run, recorder = module(exploration=WholeTrajectories()), Recorder()
    before = weights(run)
    trainer(tmp_path, recorder).fit(run, data())
    for agent in (ANSWER, STOP):
        assert sum(values[f"{agent}/pairs"] for values in recorder.values) > 0
        assert any(not torch.equal(v, before[n]) for n, v in weights(run).items() if f".{agent}." in n)
    assert all(values["answer/pairs"] + values["stop/pairs"] <= 8 for values in recorder.values)


@pytest.mark.parametrize("loss", [PolicyGradient(kl=0.01), ClippedPolicyGradient()])
def test_a_policy_gradient_run_resumes_exactly_and_teaches_both_agents(
    tmp_path: Path, loss: PolicyGradient
) -> None:
    options: dict[str, Any] = {
        "exploration": NodeGroups(nodes=3),
        "learning": Learning(lr=3e-3, loss=loss),
        "max_problems": 16,
    }
    before = weights(module(**options))
    whole, recorder = fit(tmp_path, **options)
    stopped = trainer(tmp_path)
    stopped.fit(module(**{**options, "max_problems": 8}), data())
    stopped.save_checkpoint(tmp_path / "part.ckpt")
    resumed, rest = fit(tmp_path, ckpt_path=tmp_path / "part.ckpt", **options)
    assert_same_weights(whole, resumed)
    assert rest.problems == recorder.problems[1:]
    for agent in (ANSWER, STOP):
        values = recorder.values[0]
        assert 0 < values[f"{agent}/groups_taught"] < values[f"{agent}/groups"]
        assert values[f"{agent}/advantage_spread"] > 0 and abs(values[f"{agent}/loss"]) < 0.1
        assert values[f"{agent}/kl"] == pytest.approx(0.0, abs=1e-6) or not loss.needs_reference
        assert any(not torch.equal(v, before[n]) for n, v in weights(whole).items() if f".{agent}." in n)


def test_one_agent_may_learn_by_preferences_and_the_other_by_a_policy_gradient(tmp_path: Path) -> None:
    learning = {STOP: Learning(lr=3e-3, loss=PolicyGradient())}
    _, recorder = fit(tmp_path, max_problems=8, exploration=NodeGroups(), agent_learning=learning)
    (values,) = recorder.values
    assert values["answer/pairs"] > 0 and values["answer/loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert values["stop/groups_taught"] > 0 and "answer/groups" not in values
    with pytest.raises(UserError, match="NodeAlternatives plays other moves"):
        module(agent_learning=learning)
    module(agent_learning=learning, frozen=[STOP])


def test_a_single_agent_learns_online(tmp_path: Path) -> None:
    from flowdpo_pl.play.flows.single import SingleFlow
    from flowdpo_pl.play.prompts import AgentPrompt

    prompts = {ANSWER: AgentPrompt("{question}")}
    run, recorder = module(flow=SingleFlow(48), prompts=prompts, max_generated_tokens=300), Recorder()
    trainer(tmp_path, recorder).fit(run, data())
    assert sum(values["answer/pairs"] for values in recorder.values) > 0
    assert sum(values["generated_tokens"] for values in recorder.values[:-1]) < 300


@dataclass(frozen=True)
class SolverCheckerFlow(AnswerStopFlow):
    """The paper's flow with other names."""

    agents: ClassVar[tuple[str, ...]] = ("solver", "checker")
    writer: ClassVar[str] = "solver"

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        turn = super().turn([replace(move, agent=CALLED[move.agent]) for move in moves])
        return None if turn is None else replace(turn, agent=NAMES[turn.agent])


NAMES = {ANSWER: "solver", STOP: "checker"}
CALLED = {name: agent for agent, name in NAMES.items()}


def test_a_flow_of_other_names_learns_the_same(tmp_path: Path) -> None:
    ours, recorder = fit(tmp_path)
    prompts = {NAMES[agent]: prompt for agent, prompt in PROMPTS.items()}
    theirs, other = fit(tmp_path, flow=SolverCheckerFlow(chunk_tokens=12, max_chunks=4), prompts=prompts)
    renamed = {
        name.replace(".solver.", f".{ANSWER}.").replace(".checker.", f".{STOP}."): value
        for name, value in weights(theirs).items()
    }
    for name, value in weights(ours).items():
        assert torch.equal(renamed[name], value), name
    for own, its in zip(recorder.values, other.values, strict=True):
        for key, value in own.items():
            agent, _, rest = key.partition("/")
            same = its[f"{NAMES[agent]}/{rest}" if agent in NAMES else key]
            assert same == pytest.approx(value, nan_ok=True) or "second" in key or "memory" in key, key


def initial_adapters(folder: Path) -> dict[str, str]:
    """What a short run has learnt."""
    run, _ = fit(folder, max_problems=16)
    run.save_adapters(folder / "initial")
    return {agent: str(folder / "initial" / agent) for agent in (ANSWER, STOP)}


@pytest.mark.parametrize("reference", ["base", "initial"])
def test_a_run_starts_from_adapters_and_is_compared_with_its_reference(
    reference: Literal["base", "initial"], tmp_path: Path
) -> None:
    start = Start(initial_adapters(tmp_path), reference)
    run, recorder = fit(tmp_path, max_problems=8, start=start)
    assert run.identity()["reference"].startswith(reference)
    for agent in (ANSWER, STOP):
        margin = recorder.values[0][f"{agent}/margin"]
        assert (margin == 0.0) == (reference == "initial")


def test_a_warm_run_resumes_only_with_its_reference(tmp_path: Path) -> None:
    start = Start(initial_adapters(tmp_path), "initial")
    whole, _ = fit(tmp_path, start=start)
    part = module(max_problems=8, start=start)
    stopped = trainer(tmp_path)
    stopped.fit(part, data())
    stopped.save_checkpoint(tmp_path / "part.ckpt")
    resumed, _ = fit(tmp_path, ckpt_path=tmp_path / "part.ckpt", start=start)
    assert_same_weights(whole, resumed)
    with pytest.raises(UserError, match="the checkpoint was made otherwise: reference was initial"):
        fit(tmp_path, ckpt_path=tmp_path / "part.ckpt", start=Start(start.adapters))


def test_other_saved_adapters_are_a_reference_that_a_resume_compares(tmp_path: Path) -> None:
    saved = initial_adapters(tmp_path)
    start = Start(reference={ANSWER: saved[ANSWER]})
    run, recorder = fit(tmp_path, max_problems=8, start=start)
    assert run.identity()["reference"].startswith("saved adapters")
    assert recorder.values[0][f"{ANSWER}/margin"] != 0.0 == recorder.values[0][f"{STOP}/margin"]
    same = Start(saved, saved)
    _, recorder = fit(tmp_path, max_problems=8, start=same)
    _, initial = fit(tmp_path, max_problems=8, start=Start(saved, "initial"))
    for agent in (ANSWER, STOP):
        assert recorder.values[0][f"{agent}/margin"] == initial.values[0][f"{agent}/margin"] == 0.0
        assert recorder.values[0][f"{agent}/loss"] == initial.values[0][f"{agent}/loss"]
    stopped = trainer(tmp_path)
    stopped.fit(module(max_problems=8, start=start), data())
    stopped.save_checkpoint(tmp_path / "part.ckpt")
    with pytest.raises(UserError, match="the checkpoint was made otherwise: reference was saved"):
        fit(tmp_path, ckpt_path=tmp_path / "part.ckpt", start=Start(reference={STOP: saved[STOP]}))


def test_a_reference_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"start\.reference names 'reader'"):
        module(start=Start(reference={"reader": "x"}))
    with pytest.raises(UserError, match=r"start\.reference names no adapters"):
        module(start=Start(reference={}))
    with pytest.raises(UserError, match=r"start\.reference names 'stop', which has no adapter"):
        module(start=Start(reference={STOP: "x"}), without_adapter=(STOP,))
    with pytest.raises(UserError, match="x holds no adapter"):
        module(start=Start(reference={STOP: "x"})).configure_model()


def test_a_reference_without_adapters_and_adapters_of_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'initial' without model\.team\.start\.adapters"):
        module(start=Start(reference="initial"))
    with pytest.raises(UserError, match=r"start\.adapters names 'reader'"):
        module(start=Start({"reader": "x"}))
    with pytest.raises(UserError, match="x holds no adapter"):
        module(start=Start({STOP: "x"})).configure_model()
