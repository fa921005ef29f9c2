"""A base in 4 or 8 bits learns as one in 16 does, and its checkpoints hold adapters alone."""

from __future__ import annotations

import json
from argparse import ArgumentError
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flowdpo_pl.cli import main
from flowdpo_pl.errors import UserError, one_sentence
from flowdpo_pl.learn.supervised_learner import SupervisedLearning
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.attention import TreeView
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.quantization import Quantization, follow_weights, loading_options
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.modules.sft_module import SFTModule
from flowdpo_pl.modules.trace_data_module import TraceDataModule
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.team import Team
from tests.conftest import PROMPTS, CoinJudge
from tests.models import FAMILIES, write_model
from tests.runs import MODEL, ROOT, Recorder, data, module, trainer, weights
from tests.trace_files import world_traces, write_traces

CPU = torch.device("cpu")
SMOLLM2 = ROOT / "models" / "smollm2"


class Coin(CoinJudge):
    """Judges at once, too."""

    def identity(self) -> dict[str, object]:
        return {"class": "Coin"}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a random model of a family whose matrices fill whole blocks of 64 weights."""
    written: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in written:
            written[family] = write_model(
                tmp_path_factory.mktemp(family), family, hidden_size=64, intermediate_size=128
            )
        return written[family]

    return folder


def loaded(folder: Path, quantization: Quantization | None, checkpointing: bool = False) -> Agents:
    """Agents in float32 whose adapters have been trained somewhat."""
    model, _ = BaseModel(str(folder), dtype="float32", quantization=quantization).load()
    lora = LoraSettings(r=4, alpha=8, dropout=0.0)
    agents = Agents(model, (ANSWER, STOP), lora, activation_checkpointing=checkpointing)
    move(agents)
    return agents


def move(agents: Agents) -> None:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for name in agents.names:
            for parameter in agents.parameters_of(name):
                parameter.normal_(std=0.15)


def reading(device: torch.device = CPU) -> dict[str, Any]:
    """Two sequences of nine tokens as arguments of `Agents.hidden`."""
    positions = torch.arange(9, device=device).expand(2, 9)
    nothing = torch.zeros(2, 9, dtype=torch.long, device=device)
    token_ids = torch.arange(5, 23, device=device).view(2, 9)
    return {
        "token_ids": token_ids,
        "positions": positions,
        "view": TreeView(positions, nothing, nothing),
    }


def read_and_learn(agents: Agents) -> tuple[Tensor, list[Tensor]]:
    """What decoding sees, then the gradients of an update, in the order of a run."""
    agents.train()
    with agents.decoding_as(ANSWER):
        decoded = agents.hidden(**reading(agents.device))
    with agents.acting_as(ANSWER):
        hidden = agents.hidden(**reading(agents.device))
        (hidden * torch.linspace(-1, 1, hidden.shape[-1], device=hidden.device)).sum().backward()
    gradients = [parameter.grad for parameter in agents.parameters_of(ANSWER)]
    return decoded, [gradient for gradient in gradients if gradient is not None]


def stored(parameters: Iterable[torch.nn.Parameter]) -> list[Tensor]:
    """Everything that weights are stored in, the scales of quantised ones included."""
    found = []
    for parameter in parameters:
        found.append(parameter.data)
        if (state := getattr(parameter, "quant_state", None)) is not None:
            found += [state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code]
        if (scales := getattr(parameter, "SCB", None)) is not None:
            found.append(scales)
    return found


def stored_bytes(model: torch.nn.Module) -> int:
    storages = [tensor.untyped_storage() for tensor in stored(model.parameters())]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def flow_dpo(folder: Path, quantization: Quantization | None, **options: Any) -> FlowDPOModule:
    arguments: dict[str, Any] = {
        "base": BaseModel(str(folder), quantization=quantization),
        "prompts": PROMPTS,
        "flow": AnswerStopFlow(chunk_tokens=5, max_chunks=3),
        "verifier": Coin(),
        "max_problems": 16,
    }
    return module(**{**arguments, **options})


@pytest.mark.parametrize("quantization", [None, "nf4"])
@pytest.mark.parametrize("family", ["llama", "phi3", "qwen3", "gemma3_text", "gemma2", "mistral"])
def test_both_agents_learn_in_every_family(
    family: str, quantization: Quantization | None, wide: Callable[[str], Path], tmp_path: Path
) -> None:
    assert family in FAMILIES
    run = flow_dpo(wide(family), quantization)
    run.configure_model()
    before, base = weights(run), [tensor.clone() for tensor in frozen(run)]
    recorder = Recorder()
    trainer(tmp_path, recorder).fit(run, data())
    assert len(recorder.values) == 2
    for agent in (ANSWER, STOP):
        assert any(values[f"{agent}/pairs"] for values in recorder.values)
        assert all(not values[f"{agent}/updates_set_aside"] for values in recorder.values)
    changed = {name for name, value in weights(run).items() if not torch.equal(value, before[name])}
    # B starts at zero, so the first step moves B alone; every layer of both agents must have moved
    assert {name for name in before if ".lora_B" in name} <= changed
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in weights(run).values())
    assert all(map(torch.equal, frozen(run), base))


def frozen(run: FlowDPOModule) -> list[Tensor]:
    """The base's weights as they are stored."""
    return stored(
        parameter for parameter in run.players.agents.base.parameters() if not parameter.requires_grad
    )


@pytest.mark.parametrize("family", ["llama", "phi3"])
def test_reading_and_gradients_are_those_of_the_dequantised_weights(
    family: str, wide: Callable[[str], Path]
) -> None:
    quantised = loaded(wide(family), "nf4")
    model, _ = BaseModel(str(wide(family)), dtype="float32", quantization="nf4").load()
    plain = Agents(model.dequantize(), (ANSWER, STOP), LoraSettings(r=4, alpha=8, dropout=0.0))
    move(plain)
    assert not any(parameter.dtype == torch.uint8 for parameter in plain.parameters())
    decoded, gradients = read_and_learn(quantised)
    expected_decoded, expected = read_and_learn(plain)
    torch.testing.assert_close(decoded, expected_decoded, rtol=1e-4, atol=1e-5)
    assert len(gradients) == len(expected) > 0
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=0.0, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_checkpointing_leaves_the_gradients_as_they_are(
    quantization: Quantization, wide: Callable[[str], Path]
) -> None:
    _, gradients = read_and_learn(loaded(wide("llama"), quantization))
    _, recomputed = read_and_learn(loaded(wide("llama"), quantization, checkpointing=True))
    assert gradients and all(map(torch.equal, gradients, recomputed))


def test_eight_bits_learn_on_a_cpu(wide: Callable[[str], Path], tmp_path: Path) -> None:
    run = flow_dpo(wide("llama"), "int8", max_problems=8)
    run.configure_model()
    before = weights(run)
    trainer(tmp_path).fit(run, data())
    assert any(not torch.equal(value, before[name]) for name, value in weights(run).items())


def test_eight_bit_layers_follow_their_weights(wide: Callable[[str], Path]) -> None:
    model, _ = BaseModel(str(wide("llama")), quantization="int8").load()
    layer = model.get_submodule("model.layers.0.mlp.up_proj")
    x = torch.ones(1, 64, dtype=torch.bfloat16)
    holders = (layer.weight, layer.state)  # the second reference goes from one to the other in a forward
    for holder in holders:
        layer.weight.data = layer.weight.data.clone()  # what a move does, as far as one device can tell
        follow_weights(model)
        assert holder.CB.data_ptr() == layer.weight.data_ptr()
        product = layer(x)
    assert torch.equal(layer(x), product)


def test_a_checkpoint_holds_adapters_alone_and_reloads_to_the_same(
    wide: Callable[[str], Path], tmp_path: Path
) -> None:
    run = flow_dpo(wide("llama"), "nf4")
    fitting = trainer(tmp_path)
    fitting.fit(run, data())
    path = tmp_path / "run.ckpt"
    fitting.save_checkpoint(path)
    saved = torch.load(path, weights_only=True)
    assert saved["state_dict"] and all(".lora_" in name for name in saved["state_dict"])
    tensors = [t for part in ("state_dict", "optimizer_states") for t in tensors_in(saved[part])]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    adapters = sum(value.numel() for value in saved["state_dict"].values())
    assert sum(tensor.numel() for tensor in tensors) <= 3 * adapters + 1000  # Adam's two moments, and steps

    again = flow_dpo(wide("llama"), "nf4", max_problems=24)
    trainer(tmp_path / "again").validate(again, data(), ckpt_path=path)
    for agent in (ANSWER, STOP):
        with run.players.agents.decoding_as(agent), again.players.agents.decoding_as(agent):
            logits = [r.players.head.logits(r.players.agents.hidden(**reading())) for r in (run, again)]
        assert torch.equal(*logits)
    assert run.identity() == flow_dpo(wide("llama"), None).identity()  # adapters may move to the 16-bit base


def test_fine_tuning_saves_adapters_alone_and_reloads_to_the_same(
    wide: Callable[[str], Path], tmp_path: Path
) -> None:
    def sft(seed: int) -> SFTModule:
        base = BaseModel(str(wide("llama")), quantization="nf4")
        learning = SupervisedLearning(lr=1e-2)
        lora = LoraSettings(r=4, alpha=8)
        return SFTModule(Team(base, PROMPTS, lora=lora), learning, accumulation=1, seed=seed)

    traces = TraceDataModule([write_traces(tmp_path / "traces.jsonl", world_traces(8))], batch_size=4)
    run, fitting = sft(seed=0), trainer(tmp_path, max_steps=2)
    run.configure_model()
    start = [parameter.detach().clone() for parameter in run.learner.agents.parameters_of(ANSWER)]
    fitting.fit(run, traces)
    trained = run.learner.agents.parameters_of(ANSWER)
    assert any(not torch.equal(a, b) for a, b in zip(start, trained, strict=True))
    path = tmp_path / "run.ckpt"
    fitting.save_checkpoint(path)
    saved = torch.load(path, weights_only=True)
    assert saved["state_dict"] and all(".lora_" in name for name in saved["state_dict"])
    assert {tensor.dtype for tensor in tensors_in(saved["state_dict"])} == {torch.float32}

    again = sft(seed=1)  # would learn something else
    trainer(tmp_path / "again", max_steps=2).fit(again, traces, ckpt_path=path, weights_only=True)
    hidden = []
    for agents in (run.learner.agents, again.learner.agents):
        with agents.decoding_as(ANSWER):
            hidden.append(agents.hidden(**reading()))
    assert torch.equal(*hidden)


def tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [tensor for part in inner for tensor in tensors_in(part)]


def test_weights_that_are_stored_quantised_are_taken_as_they_are(
    wide: Callable[[str], Path], tmp_path: Path
) -> None:
    model, tokenizer = BaseModel(str(wide("llama")), quantization="nf4").load()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, _ = BaseModel(str(tmp_path), dtype="float32").load()
    layer = again.get_submodule("model.layers.0.mlp.up_proj")
    assert layer.weight.dtype == torch.uint8 and layer.compute_dtype == torch.float32
    with pytest.raises(
        UserError, match=r"stored quantised already: leave model\.team\.base\.quantization out"
    ):
        BaseModel(str(tmp_path), quantization="nf4").load()


def test_weights_that_others_quantised_are_refused(wide: Callable[[str], Path], tmp_path: Path) -> None:
    _, tokenizer = BaseModel(str(wide("llama"))).load()
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((wide("llama") / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"quantised by gptq.*give the 16-bit model"):
        BaseModel(str(tmp_path)).load()


def test_an_unknown_quantization_is_one_sentence() -> None:
    arguments = [
        "fit",
        "--config",
        str(ROOT / "configs/quickstart.yaml"),
        "--model.team.base.quantization=fp4",
    ]
    with pytest.raises(ArgumentError) as caught:
        main(arguments)
    sentence = one_sentence(str(caught.value))
    assert "model.team.base.quantization" in sentence and "'nf4', 'int8'" in sentence and "\n" not in sentence


def test_weights_are_quantised_where_the_trainer_s_module_will_be() -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(MODEL)
    with torch.device("cuda:1"):
        options = loading_options("int8", config, torch.bfloat16)
    assert options["device_map"] == {"": torch.device("cuda:1")}
    assert loading_options(None, config, torch.bfloat16) == {}


@pytest.mark.skipif(not SMOLLM2.is_dir(), reason="models/smollm2 is not there: make smollm2")
@pytest.mark.long
def test_smollm2_takes_less_than_half_of_its_memory() -> None:
    """At most 45 %, though a fifth of its weights are the embeddings, which stay in 16 bits."""
    sixteen, _ = BaseModel(str(SMOLLM2)).load()
    four, _ = BaseModel(str(SMOLLM2), quantization="nf4").load()
    assert stored_bytes(four) <= 0.45 * stored_bytes(sixteen)
