"""The agents: one frozen base, one LoRA adapter each, and exactly one owner of who acts.

PEFT finds the layers, initialises and saves the adapters. Which adapter a forward uses is decided
here: every adapted layer asks its owner, so no `requires_grad` is ever flipped (peft#2832), the
reference is nobody acting (or the agent's frozen start), and the recomputation of activation
checkpointing sees the same agent as long as backward runs inside `acting_as`.

Shapes: B sequences, N tokens, E hidden size, r rank.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.acting import Acting, Decoding, Mode, Nobody
from flowdpo_pl.model.adapter_base import require_base
from flowdpo_pl.model.adapter_config import adapter_config
from flowdpo_pl.model.adapter_product import Matrices
from flowdpo_pl.model.attention import TreeView, View
from flowdpo_pl.model.base import context_limit, decoder_of
from flowdpo_pl.model.dropout import Dropout
from flowdpo_pl.model.fused_layers import Adapter, FusedLayers, Group, reading_together
from flowdpo_pl.model.lora import LoraSettings, saved_weights
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.model.quantization import follow_weights
from flowdpo_pl.model.structure import CacheShape, refusing, structure_of
from flowdpo_pl.model.targets import peft_config_on, refused_targets, require_adaptable, require_met
from flowdpo_pl.model.widened import wide_dtype
from flowdpo_pl.types import Agent

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer
    from transformers import PreTrainedModel


class Agents(nn.Module):
    """A frozen base model and one LoRA adapter per agent."""

    def __init__(
        self,
        base: PreTrainedModel,
        names: Sequence[Agent],
        lora: LoraSettings,
        seed: int = 0,
        activation_checkpointing: bool = False,
    ) -> None:
        """Adapters start at the base (B = 0); their A is drawn from `seed` and the agent's place alone.

        Raises:
            UserError: the base computes something that would be left out, or a layer can't have an adapter.
        """
        super().__init__()
        from peft import get_peft_model
        from peft.tuners.lora import LoraLayer

        base.eval()
        _require_free(names, base)
        self.structure = structure_of(base)
        self.names = tuple(names)
        config = peft_config_on(base, lora)
        # drawn on the CPU, so that every device starts alike
        with torch.device("cpu"), torch.random.fork_rng(devices=[]), refused_targets():
            for index, name in enumerate(self.names):
                torch.manual_seed(seed * len(self.names) + index)
                if index == 0:
                    self.peft = get_peft_model(base, deepcopy(config), adapter_name=name)
                else:
                    self.peft.add_adapter(name, deepcopy(config))
                _order_modules(self.peft.peft_config[name])
        self._base = base
        self._dropout = lora.dropout
        self._rank = lora.r
        self._mode: Mode = Nobody()
        self._compiled = self._hidden
        self._starts = nn.ModuleDict()
        """Of agents that have a reference of their own, A and B of every layer in turn, frozen."""
        self._reference = "base"
        """What that reference is."""
        self._layers = [m for m in base.modules() if isinstance(m, LoraLayer)]
        self.layer_names = [name for name, m in base.named_modules() if isinstance(m, LoraLayer)]
        """Of the adapted layers, in the base."""
        require_adaptable(self.layer_names, self._layers)
        self._matrices = {name: [_matrices(layer, name) for layer in self._layers] for name in self.names}
        with refusing(base):
            together = reading_together(self._layers, self._one_token)
        require_met(self.layer_names, together)
        self._fused = FusedLayers(
            [layer.get_base_layer() for layer in self._layers],
            together,
            room=lora.r,
            dtype=self.dtype,
        )
        for layer, forward in zip(self._layers, self._fused.forwards(self._outputs), strict=True):
            setattr(layer, "forward", forward)  # noqa: B010
        for name in self.names:
            for parameter in self.parameters_of(name):
                # older versions of PEFT leave a second adapter in the base's dtype
                parameter.data = parameter.data.to(wide_dtype(self.dtype))
                parameter.requires_grad_(True)
        if activation_checkpointing:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.train(self.training)

    @property
    def base(self) -> PreTrainedModel:
        return self._base

    @property
    def config(self) -> Any:
        """The text model's configuration."""
        return self._base.config.get_text_config()

    @property
    def device(self) -> torch.device:
        return self._base.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the computation."""
        return self._base.dtype

    @property
    def caches(self) -> Sequence[CacheShape]:
        """Shapes of each layer's keys and values."""
        return self.structure.caches

    @property
    def context_limit(self) -> int:
        return context_limit(self._base)

    @property
    def rank(self) -> int:
        """Of the adapters."""
        return self._rank

    def hidden(self, token_ids: Tensor, positions: Tensor, view: View) -> Tensor:
        """Last hidden states `[B, N, E]` of `[B, N]` token ids for whoever acts, seen through `view`."""
        one_token = isinstance(self._mode, Decoding) and token_ids.shape[1] == 1
        return (self._compiled if one_token else self._hidden)(token_ids, positions, view)

    def _hidden(self, token_ids: Tensor, positions: Tensor, view: View) -> Tensor:
        output = decoder_of(self._base)(
            input_ids=token_ids, position_ids=positions, use_cache=False, view=view
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def compile_decoding(self) -> None:
        """Compile the decoder's single-token steps for `decoding_as`: one graph, whoever acts, for any number
        of rows and columns. For GPUs; a CPU is faster without.
        """
        self._compiled = torch.compile(self._hidden, dynamic=True)

    def head(self, end_ids: Sequence[int]) -> OutputHead:
        """The frozen output layer, with these end tokens as one symbol."""
        layer = self._base.get_output_embeddings()
        assert isinstance(layer.weight, Tensor)
        seen = self.structure
        return OutputHead(
            layer.weight, getattr(layer, "bias", None), seen.softcap, tuple(end_ids), seen.logit_scale
        )

    def train(self, mode: bool = True) -> Agents:
        """Training mode is the adapters' alone: the frozen base never drops anything out."""
        from transformers.modeling_layers import GradientCheckpointingLayer

        super().train(False)
        self.training = mode
        for module in self._base.modules():
            if isinstance(module, GradientCheckpointingLayer):
                module.training = mode  # only then it checkpoints; its children stay in eval
        return self

    def parameters_of(self, agent: Agent) -> list[nn.Parameter]:
        """The adapter's own weights, in a fixed order."""
        return [matrix for pair in self._matrices[agent] for matrix in pair]

    def adapter_state(self) -> dict[str, Tensor]:
        """All adapters by name, nothing of the base: what a checkpoint holds."""
        return {name: p for name, p in self.peft.named_parameters() if ".lora_" in name}

    def load_adapter_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of `adapter_state`; names must match exactly."""
        own = self.adapter_state()
        missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or unexpected:
            raise KeyError(
                f"adapter weights differ: missing {sorted(missing)[:3]}, unexpected {sorted(unexpected)[:3]}"
            )
        _fill(own, state)

    def load_saved(self, agent: Agent, folder: Path) -> None:
        """Take an agent's weights from an adapter in PEFT's format, of the shape these agents have.

        Raises:
            UserError: `folder` holds no adapter, or one of another shape, scale or base.
        """
        end = f".{agent}.weight"
        saved = {name.removesuffix(".weight") + end: value for name, value in saved_weights(folder).items()}
        own = {name: p for name, p in self.adapter_state().items() if name.endswith(end)}
        wrong = [name for name, p in own.items() if name not in saved or saved[name].shape != p.shape]
        if further := sorted(saved.keys() - own.keys()) if not wrong else []:
            raise UserError(
                f"the adapter in {folder} holds {further[0].replace(end, '.weight')}, which agent '{agent}' "
                "lacks: use the lora settings that it was trained with, and no layers trained whole."
            )
        if wrong:
            raise UserError(
                f"the adapter in {folder} does not fit agent '{agent}' at {wrong[0]}: "
                "use the base and the lora settings that it was trained with."
            )
        shape = LoraSettings.of_saved(folder)
        if not math.isclose(shape.r * self._scale(agent), shape.alpha, rel_tol=1e-6):
            raise UserError(
                f"the adapter in {folder} has alpha {shape.alpha} and agent '{agent}' another: "
                f"set model.team.lora.alpha to {shape.alpha}."
            )
        require_base(folder, adapter_config(folder).get("base_model_name_or_path"), self._base)
        _fill(own, saved)

    def save(self, directory: Path, names: Sequence[Agent] | None = None) -> None:
        """Write `<directory>/<agent>/adapter_model.safetensors` in PEFT's format.

        Args:
            directory: made where it is missing.
            names: agents; None: all.
        """
        for name in self.names if names is None else names:
            self.peft.save_pretrained(str(directory), selected_adapters=[name], safe_serialization=True)
        (directory / "README.md").unlink(missing_ok=True)  # a template without content

    @contextmanager
    def acting_as(self, agent: Agent, keys: Tensor | None = None) -> Iterator[None]:
        """Forwards and backwards inside use this agent's adapter, with gradients.

        `keys` `[B, N]` int64, of the tokens that go forward: in training what they read is dropped out.
        """
        dropout = None
        if keys is not None and self.training and self._dropout:
            dropout = Dropout(self._dropout, keys)
        with self._in(Acting(self.adapter(agent, dropout))):
            yield

    @contextmanager
    def decoding_as(self, agent: Agent) -> Iterator[None]:
        """Forwards inside use a compute-dtype copy of the adapter, without gradients or dropout.

        An agent without an adapter decodes as the base.
        """
        mode: Mode = Nobody()
        if agent in self._matrices:
            self._fused.load(self.adapter(agent))
            mode = Decoding()
        with self._in(mode), torch.inference_mode():
            yield

    @contextmanager
    def lent(self, agent: Agent, weights: Sequence[Tensor]) -> Iterator[None]:
        """Inside, the agent's adapter has these weights, in the order of `parameters_of`."""
        parameters = self.parameters_of(agent)
        own = [parameter.detach().clone() for parameter in parameters]
        given = [weight.detach().clone() for weight in weights]  # they may be the parameters themselves
        with torch.no_grad():
            try:
                for parameter, weight in zip(parameters, given, strict=True):
                    parameter.copy_(weight)
                yield
            finally:
                for parameter, weight in zip(parameters, own, strict=True):
                    parameter.copy_(weight)

    @contextmanager
    def reference(self, agent: Agent) -> Iterator[None]:
        """Forwards inside use the frozen base, alone or with the agent's frozen reference; no gradients."""
        with self._in(self._start(agent)), torch.no_grad():
            yield

    def freeze_reference(self) -> None:
        """Make every agent's adapter, as it is now, its reference; until then that is the base alone."""
        self._reference = "initial"
        for name in self.names:
            self._freeze(name)

    def load_reference(self, agent: Agent, folder: Path) -> None:
        """Make a saved adapter, of the shape that these agents have, an agent's reference.

        Raises:
            UserError: as `load_saved`.
        """
        self._reference = "saved"
        with self.lent(agent, self.parameters_of(agent)):
            self.load_saved(agent, folder)
            self._freeze(agent)

    def _freeze(self, agent: Agent) -> None:
        frozen = [nn.Parameter(p.detach().clone(), requires_grad=False) for p in self.parameters_of(agent)]
        self._starts[agent] = nn.ParameterList(frozen)

    @property
    def reference_name(self) -> str:
        """What the agents are compared with: `base`, or a digest of the frozen adapters."""
        if not self._starts:
            return "base"
        digest = hashlib.sha256()
        if self._reference == "saved":
            digest.update(" ".join(self._starts).encode())  # the others have the base
        for parameter in self._starts.parameters():
            digest.update(parameter.detach().cpu().numpy().tobytes())
        return f"{self._reference} adapters {digest.hexdigest()[:16]}"

    @contextmanager
    def _in(self, mode: Mode) -> Iterator[None]:
        before, self._mode = self._mode, mode
        try:
            yield
        finally:
            self._mode = before

    def _outputs(self, group: Group, x: Tensor) -> Tensor:
        return self._mode.outputs(group, x)

    def adapter(self, agent: Agent, dropout: Dropout | None = None) -> Adapter:
        return Adapter(self._matrices[agent], self._scale(agent), dropout)

    def _start(self, agent: Agent) -> Mode:
        if agent not in self._starts:
            return Nobody()
        frozen = list(self._starts[agent].parameters())
        matrices = list(zip(frozen[0::2], frozen[1::2], strict=True))
        return Acting(Adapter(matrices, self._scale(agent)))

    def _scale(self, agent: Agent) -> float:
        """alpha / r, the same in all layers of an adapter."""
        return float(self._layers[0].scaling[agent])

    @torch.no_grad()
    def _one_token(self) -> None:
        token = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        self.hidden(token, token, TreeView(token, token, token))

    def _apply(self, *args: Any, **kwargs: Any) -> Agents:
        self._fused.forget()
        super()._apply(*args, **kwargs)
        follow_weights(self._base)
        return self


def _order_modules(config: Any) -> None:
    """In one order: a set is saved in that of its process."""
    if isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)


def _matrices(layer: LoraLayer, agent: Agent) -> Matrices:
    """The adapter's A `[r, in]` and B `[out, r]` in one layer."""
    down, up = layer.lora_A[agent].weight, layer.lora_B[agent].weight
    assert isinstance(down, nn.Parameter) and isinstance(up, nn.Parameter)
    return down, up


_PEFT_S_OWN = frozenset({"default", "lora", "lora_A", "lora_B", "weight"})
"""Adapters that PEFT saves in another place, or with weights of other names."""


def _require_free(names: Sequence[Agent], base: PreTrainedModel) -> None:
    """PEFT takes an adapter's name out of the names of its weights, wherever it stands in them."""
    taken = {"base_model", "model"}.union(*(name.split(".") for name, _ in base.named_modules()))
    if clash := taken.intersection(names):
        raise UserError(f"no agent can be called '{min(clash)}', as a layer of the base is: rename it.")
    if own := {name for name in names if name in _PEFT_S_OWN or hasattr(nn.ModuleDict, name)}:
        raise UserError(
            f"no agent can be called '{min(own)}', which PyTorch or PEFT keeps to itself: rename it."
        )


def _fill(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])
