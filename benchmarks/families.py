"""Which of transformers' causal language models are played and learnt right, and what becomes of the others.

Of every type that transformers lists, a small random model is built from its default config. It is accepted
or refused by the checks of a load; what is accepted plays and is updated, and both are compared with
transformers' own attention, one sequence at a time. Nothing may end accepted and wrong, nor with an error
that is no refusal. Each type has a process of its own, forked from one that has imported everything. With
`--table docs/models.md` the table of that page is written anew.
"""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from jsonargparse import auto_cli

Outcome = Literal["right", "refused", "wrong", "error", "not buildable"]
_BEGIN, _END = "<!-- families: begin -->", "<!-- families: end -->"
_TOLERANCE = 1e-3
"""Nats, of a move's log-probability in play and in the update, in float32."""


_TEXT_IDS = 120
"""Of a twin that reads more than text: higher ids stand for images, whose embeddings are another module's."""


@dataclass(frozen=True)
class Family:
    """What became of one type."""

    model_type: str
    outcome: Outcome
    reason: str = ""
    twin: bool = True
    """Whether a twin could be made."""
    play: float | None = None
    """Largest difference of a played log-probability from eager's, nats."""
    update: float | None = None
    """The same of the update's."""
    rounding: float | None = None
    """How far eager's own move by when each weight moves by a unit of float32's precision."""


def families(types: list[str] | None = None, timeout: float = 120, table: Path | None = None) -> None:
    """Try every type, print one JSON line each, and the table.

    Args:
        types: model types; null: all that transformers knows.
        timeout: seconds for one type.
        table: file whose table, between its marks, is replaced.
    """
    import peft  # noqa: F401  # imported once, before the forks
    import torch
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as known

    torch.set_num_threads(1)
    found = []
    for name in types or sorted(known):
        found.append(_in_a_process(name, timeout))
        print(json.dumps(asdict(found[-1])), flush=True)
    text = markdown(found)
    print(text)
    if table is not None:
        before, _, rest = table.read_text(encoding="utf-8").partition(_BEGIN)
        after = rest.partition(_END)[2]
        table.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")


def _in_a_process(name: str, timeout: float) -> Family:
    forked = multiprocessing.get_context("fork")
    results = forked.SimpleQueue()
    child = forked.Process(target=lambda: results.put(tried(name)), daemon=True)
    child.start()
    child.join(timeout)
    if child.is_alive():
        child.kill()
        return Family(name, "not buildable", f"nothing within {timeout:g} s")
    if results.empty():
        return Family(name, "error", f"the process ended with {child.exitcode}")
    found: Family = results.get()
    return found


def tried(name: str) -> Family:
    """Build a type small, load it as a run does, play and update it."""
    from flowdpo_pl.errors import UserError
    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.attention import ATTENTION, register
    from flowdpo_pl.model.lora import LoraSettings
    from flowdpo_pl.model.twin import NoTwin, twin_of
    from flowdpo_pl.play.engines.agreement import require_twin_agrees, require_weights_agree

    register()
    lora = LoraSettings(r=2, alpha=4, dropout=0.0)
    try:
        model, eager = _small(name)
    except Exception as error:
        if ATTENTION in str(error):  # built with its own attention it would be
            return Family(name, "refused", f"it does not take another attention ({_first(error)})")
        return Family(name, "not buildable", _first(error))
    twin = True
    try:
        agents = Agents(model, ("writer",), lora)
        try:
            twin_of(agents.base)
        except NoTwin:
            twin = False
        require_twin_agrees(agents, lora)
        require_weights_agree(agents)
        play, update, rounding = _differences(agents, eager)
    except UserError as error:
        return Family(name, "refused", _first(error), twin)
    except Exception as error:
        return Family(name, "error", _first(error), twin)
    right = max(play, update) <= max(_TOLERANCE, 4 * rounding)
    return Family(name, "right" if right else "wrong", "", twin, play, update, rounding)


def _small(name: str) -> tuple[Any, Any]:
    """A small model of a type with our attention, and its copy with eager."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from flowdpo_pl.model.twin import NoTwin, twin_of

    config = AutoConfig.for_model(name)
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError("it is an encoder and a decoder")
    for option in ("is_decoder", "add_cross_attention"):  # BERT and its kin
        if hasattr(config, option):
            setattr(config, option, option == "is_decoder")
    text = config.get_text_config()
    for option, default in (("num_key_value_heads", "num_attention_heads"), ("num_experts_per_tok", 2)):
        if vars(text).get(option, 0) is None:  # defaults that no model can be built with
            setattr(text, option, getattr(text, str(default), default))
    if vars(text).get("head_dim", 0) is None:
        text.head_dim = text.hidden_size // text.num_attention_heads
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    try:
        twin = twin_of(model)
    except NoTwin as reason:
        raise ValueError(str(reason)) from reason
    return twin.ours, twin.eager


def _differences(agents: Any, eager: Any) -> tuple[float, float, float]:
    """Largest difference of a move's log-probability in play, and in a packed update, from eager's; and how
    much of it is rounding.
    """
    import torch

    from flowdpo_pl.draws import Draws
    from flowdpo_pl.learn.packing import ScoredMove, pack_moves
    from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
    from flowdpo_pl.play.engines.native import NativeEngine
    from flowdpo_pl.play.engines.protocol import WriteRequest
    from flowdpo_pl.play.engines.sampling import Sampling

    with torch.no_grad():
        for parameter in agents.parameters_of("writer"):
            parameter.normal_(std=0.3)
    adapter = agents.adapter("writer")
    for layer, (down, up) in zip(agents.layer_names, adapter.matrices, strict=True):
        eager.get_submodule(layer).weight.data += adapter.scale * up.detach() @ down.detach()
    head = agents.head((1,))
    engine = NativeEngine(agents, head, Draws(0), Sampling(), 65_536)
    prefixes = [tuple(2 + (7 * n + 3 * k) % 90 for k in range(9 + 3 * n)) for n in range(12)]
    requests = [WriteRequest("writer", f"p{n}", "", 0, prefix, 12) for n, prefix in enumerate(prefixes)]
    written = engine.write(requests)
    of_text = eager.config.get_text_config() is eager.config
    play, moves = 0.0, []
    for prefix, one in zip(prefixes, written, strict=True):
        if not of_text and max(one.token_ids) >= _TEXT_IDS:
            continue
        expected = _own_logprobs(eager, prefix, one.token_ids, first_not=1)
        play = max(play, abs(one.logprob - expected))
        moves.append(ScoredMove(prefix, one.token_ids, 0))
        moves.append(ScoredMove(prefix, (*one.token_ids[:3], 5, 6, 7), 0))
    update, own = 0.0, {move: _own_logprobs(eager, move.before, move.move) for move in moves}
    agents.train()
    with agents.acting_as("writer"):
        for pair in zip(moves[0::2], moves[1::2], strict=True):
            batch = MicroBatch.of([pack_moves(pair)], torch.device("cpu"))
            logprobs = move_logprobs(agents, batch, head)
            logprobs.sum().backward()
            for value, move in zip(logprobs.tolist(), pair, strict=True):
                update = max(update, abs(value - own[move]))
    with torch.no_grad():
        for weight in eager.parameters():
            weight.mul_(1 + torch.finfo(weight.dtype).eps * torch.randn_like(weight))
    rounding = max(abs(_own_logprobs(eager, move.before, move.move) - own[move]) for move in moves)
    return play, update, rounding


def _own_logprobs(
    eager: Any, before: tuple[int, ...], move: tuple[int, ...], first_not: int | None = None
) -> float:
    """Of a move after its context, read whole; its first token is never `first_not`."""
    import torch

    ids = torch.tensor([[*before, *move]])
    with torch.no_grad():
        logits = eager(input_ids=ids, use_cache=False).logits[0, len(before) - 1 : -1].float()
    if first_not is not None:
        logits[0, first_not] = -torch.inf
    return float(logits.log_softmax(-1).gather(1, torch.tensor(move)[:, None]).sum())


def _first(error: Exception) -> str:
    return f"{(str(error).splitlines() or [''])[0]}" or type(error).__name__


def markdown(found: list[Family]) -> str:
    """The table of the docs: accepted, refused with the reason, not buildable."""
    right = [one for one in found if one.outcome == "right"]
    lines = [
        f"Accepted and right ({len(right)}): {', '.join(f'`{one.model_type}`' for one in right)}.",
        "",
        "| type | refused because |",
        "|---|---|",
    ]
    for one in found:
        if one.outcome == "refused":
            reason = one.reason.replace(f"models of type {one.model_type} are not supported: ", "")
            lines.append(f"| `{one.model_type}` | {reason.replace('|', '/')} |")
    if failed := [one for one in found if one.outcome in ("wrong", "error")]:
        lines += ["", "Accepted and wrong, or an error: " + ", ".join(one.model_type for one in failed) + "."]
    rest = [one.model_type for one in found if one.outcome == "not buildable"]
    lines += ["", f"Not tried ({len(rest)}), as no small model can be built: {', '.join(rest)}."]
    return "\n".join(lines)


if __name__ == "__main__":
    auto_cli(families)
