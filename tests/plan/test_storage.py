"""Bytes of what stays. Also tests `plan.shapes`, `plan.working`, `plan.memory`, `plan.hours`, `plan.advice`,
`plan.cards`, `plan.planning`, `plan.table`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.losses import SigmoidLoss
from flowdpo_pl.learn.objective import Objective
from flowdpo_pl.learn.policy_gradient import ClippedPolicyGradient, PolicyGradient
from flowdpo_pl.plan.advice import changes
from flowdpo_pl.plan.cards import CARDS, card_named
from flowdpo_pl.plan.hours import Phase
from flowdpo_pl.plan.made_trees import made_tree
from flowdpo_pl.plan.memory import Machine, Use, memory
from flowdpo_pl.plan.planning import Task, at_most, planned, typically
from flowdpo_pl.plan.shapes import LayerShape, ModelShape, Product
from flowdpo_pl.plan.sketched_prompts import PromptShape, SketchedPrompts
from flowdpo_pl.plan.storage import adapter_bytes, weight_bytes
from flowdpo_pl.plan.table import plan_lines
from flowdpo_pl.plan.working import Reading, saved_bytes
from flowdpo_pl.plan.workload import counted
from flowdpo_pl.play.exploration import NodeAlternatives, NodeGroups
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow

LAYER = LayerShape(
    (
        Product(576, (576, 192, 192), (True,) * 3),
        Product(576, (576,), (True,)),
        Product(576, (1536, 1536), (True,) * 2),
        Product(1536, (576,), (True,)),
    ),
    heads=9,
    key_heads=3,
    key_size=64,
    value_size=64,
    norms=2,
    head_norms=False,
)
SMOLLM2 = ModelShape("llama", 576, 49152, (LAYER,) * 30, 28_346_688, 2)
USE = Use("bfloat16", None, 8, 0.05, 2, 2, 0, 32, 32, 65_536, 4096, checkpointing=False)


def learning(objective: Objective) -> dict[str, Objective]:
    return {"answer": objective, "stop": objective}


PROMPTS = {"answer": PromptShape((80,)), "stop": PromptShape((80, 10), ("{partial}",))}
FLOW = AnswerStopFlow(chunk_tokens=32, max_chunks=4)
TASK = Task("fit", FLOW, NodeAlternatives(), "answer", learning(SigmoidLoss()), PROMPTS, PROMPTS, 320)


def needs(use: Use) -> int:
    return sum(memory(SMOLLM2, use, Machine(is_cpu=False), at_most(TASK, use)).values())


@pytest.mark.parametrize(("quantization", "megabytes"), [(None, 269.0), ("nf4", 111.7), ("int8", 163.5)])
def test_the_weights_of_smollm2_are_as_measured(quantization: None, megabytes: float) -> None:
    assert round(weight_bytes(SMOLLM2, 2, quantization) / 1e6, 1) == megabytes


def test_adapters_have_two_matrices_a_layer() -> None:
    a_layer = (576 + 576) + 2 * (576 + 192) + (576 + 576) + 2 * (576 + 1536) + (1536 + 576)
    assert adapter_bytes(SMOLLM2, 8, agents=2) == 4 * 2 * 30 * 8 * a_layer


def test_less_is_needed_with_less() -> None:
    now = needs(USE)
    assert needs(replace(USE, checkpointing=True)) < now
    assert needs(replace(USE, update_tokens=1024)) < now
    assert needs(replace(USE, quantization="nf4")) < now
    assert needs(replace(USE, rank=64)) > now


def test_a_token_keeps_for_backward_what_autograd_does() -> None:
    """Counted by saved-tensor hooks on SmolLM2, keys and values by block aside."""
    kept = 4 * 2 * 576 + 3 * (2 + 1) * 576 + (2 + 1) * 1536 + 2 * (3072 + 1536) + 2 * 576 + 7 * 8 * 2
    tree = at_most(TASK, USE).packs["answer"][0]
    reading = Reading(2, 8, dropout=True, checkpointing=False, holds_scores=False)
    blocks = sum(tree.seen) * 2 * (192 + 192)
    assert saved_bytes(LAYER, 576, tree, 2, reading) == 2 * (tree.tokens * kept + blocks)


def test_changes_lead_to_what_fits_or_say_that_nothing_does() -> None:
    now = needs(USE)
    for change in changes(USE, needs, now - 1):
        assert change.needs < now
    together = changes(USE, needs, now // 8)
    assert [change.needs for change in together] == sorted((c.needs for c in together), reverse=True)


def test_a_table_has_eighty_columns_and_names_every_part() -> None:
    card = card_named("L4")
    found = planned(TASK, SMOLLM2, USE, card, Machine(is_cpu=False))
    lines = list(plan_lines(found, TASK, card, ["A note. " * 30]))
    assert max(map(len, lines)) <= 80 and found.fits
    assert {"weights", "adapters", "optimizer"} <= {line.split("  ")[1] for line in lines if line[:2] == "  "}
    small = replace(card, memory=10**9 + 400 * 10**6)
    assert "fit" in " ".join(plan_lines(planned(TASK, SMOLLM2, USE, small, Machine(False)), TASK, small, []))


def test_hours_are_those_of_the_objective() -> None:
    def phases(objective: Objective) -> dict[str, Phase]:
        task = replace(TASK, exploration=NodeGroups(), objectives=learning(objective))
        return planned(task, SMOLLM2, USE, card_named("L4"), Machine(is_cpu=False)).at_most.phases

    plain, costly = phases(PolicyGradient()), phases(PolicyGradient(kl=0.1))
    twice = phases(ClippedPolicyGradient(passes=2))
    assert "reference" not in plain and costly["reference"].tokens == costly["update"].tokens
    assert twice["update"].tokens == 2 * plain["update"].tokens == 2 * costly["update"].tokens


def test_a_typical_batch_is_all_of_it_where_ties_are_learnt_from() -> None:
    def packed(objective: Objective) -> int:
        task = replace(TASK, exploration=NodeGroups(), objectives=learning(objective))
        return typically(task, USE, 40).packed_tokens

    task = replace(TASK, exploration=NodeGroups(), objectives=learning(PolicyGradient(kl=0.1)))
    tree = made_tree(FLOW, NodeGroups(), 40)
    whole = counted([tree], SketchedPrompts(FLOW, PROMPTS), task.objectives).packed_tokens
    assert packed(PolicyGradient(kl=0.1)) == USE.trees * whole > 3 * packed(PolicyGradient())


def test_an_unknown_card_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UserError, match=", ".join(CARDS)):
        card_named("h1000")
