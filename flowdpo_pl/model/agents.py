"""The agents: one frozen base, one LoRA adapter each, and exactly one owner of who acts.

PEFT finds the layers, initialises and saves the adapters. Which adapter a forward uses is decided
here: every adapted layer asks its owner, so no `requires_grad` is ever flipped (peft#2832), the
reference is nobody acting (or the agent's frozen start), and the recomputation of activation
checkpointing sees the same agent as long as backward runs inside `acting_as`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.adapter_product import Matrices
from flowdpo_pl.model.attention import TreeView, View
from flowdpo_pl.model.base import context_limit, decoder_of, no_unknown_head
from flowdpo_pl.model.fused_layers import FusedLayers, Group, TrainedAdapter, reading_together, trained
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.quantization import follow_weights
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
        """Adapters start at the base (B = 0); their A is drawn from `seed` and the agent's place alone."""
        super().__init__()
        from peft import LoraConfig, get_peft_model
        from peft.tuners.lora import LoraLayer

        no_unknown_head(base)
        config: dict[str, Any] = {
            "r": lora.r,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
            "target_modules": lora.target_modules,
            "task_type": "CAUSAL_LM",
        }
        self.names = tuple(names)
        with torch.random.fork_rng():
            for index, name in enumerate(self.names):
                torch.manual_seed(seed * len(self.names) + index)
                if index == 0:
                    self.peft = get_peft_model(base, LoraConfig(**config), adapter_name=name)
                else:
                    self.peft.add_adapter(name, LoraConfig(**config))
        self._base = base
        self._dropout = lora.dropout
        self._acting: Agent | None = None
        self._decoding = False
        self._as_reference = False
        self._compiled = self._hidden
        self._starts = nn.ModuleDict()
        """Of each agent, A and B of every layer in turn, frozen by `freeze_reference`."""
        self._start_matrices: dict[Agent, list[Matrices]] = {}
        """The same parameters in pairs."""
        self._layers = [m for m in base.modules() if isinstance(m, LoraLayer)]
        self._matrices = {name: [_matrices(layer, name) for layer in self._layers] for name in self.names}
        self._fused = FusedLayers(
            [layer.get_base_layer() for layer in self._layers],
            reading_together(self._layers, self._one_token),
            room=lora.r,
            dtype=self.dtype,
        )
        for layer, forward in zip(self._layers, self._fused.forwards(self._through), strict=True):
            setattr(layer, "forward", forward)  # noqa: B010
        for name in self.names:
            for parameter in self.parameters_of(name):
                # older versions of PEFT leave a second adapter in the base's dtype
                parameter.data = parameter.data.float()
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
        return self.head_weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the computation."""
        return self._base.dtype

    @property
    def context_limit(self) -> int:
        return context_limit(self._base)

    def hidden(self, token_ids: Tensor, positions: Tensor, view: View) -> Tensor:
        """Last hidden states `[B, N, E]` of `[B, N]` token ids for whoever acts, seen through `view`."""
        one_token = self._decoding and token_ids.shape[1] == 1
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

    @property
    def head_weight(self) -> Tensor:
        """Output embedding `[V, E]`, frozen."""
        weight = self._base.get_output_embeddings().weight
        assert isinstance(weight, Tensor)
        return weight

    @property
    def head_bias(self) -> Tensor | None:
        return getattr(self._base.get_output_embeddings(), "bias", None)

    @property
    def head_softcap(self) -> float | None:
        """Gemma's bound on final logits, or None."""
        return getattr(self.config, "final_logit_softcapping", None)

    def train(self, mode: bool = True) -> Agents:
        """Training mode is the adapters' alone: the frozen base never drops anything out."""
        from transformers.modeling_layers import GradientCheckpointingLayer

        super().train(False)
        self.training = mode
        for module in self._base.modules():
            if isinstance(module, GradientCheckpointingLayer):
                module.training = (
                    mode  # the layer checkpoints only in training mode; its children stay in eval
                )
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
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def load_saved(self, agent: Agent, folder: Path) -> None:
        """Take an agent's weights from an adapter in PEFT's format, of the shape these agents have.

        Raises:
            UserError: `folder` holds no adapter, or one of another shape or base.
        """
        from safetensors.torch import load_file

        file = folder / "adapter_model.safetensors"
        if not file.is_file():
            raise UserError(f"{folder} holds no adapter: it has no adapter_model.safetensors.")
        saved = {
            name.replace(".weight", f".{agent}.weight"): value for name, value in load_file(file).items()
        }
        own = {name: p for name, p in self.adapter_state().items() if f".{agent}." in name}
        wrong = [name for name, p in own.items() if name not in saved or saved[name].shape != p.shape]
        if wrong or saved.keys() - own.keys():
            name = (wrong or sorted(saved.keys() - own.keys()))[0]
            raise UserError(
                f"the adapter in {folder} does not fit agent '{agent}' at {name}: "
                "use the base and the lora settings that it was trained with."
            )
        shape = LoraSettings.of_saved(folder)
        if shape.r * self._layers[0].scaling[agent] != shape.alpha:
            raise UserError(
                f"the adapter in {folder} has alpha {shape.alpha} and agent '{agent}' another: "
                f"set model.lora.alpha to {shape.alpha}."
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(saved[name])

    def save(self, directory: Path) -> None:
        """Write `<directory>/<agent>/adapter_model.safetensors` in PEFT's format for every agent."""
        for name in self.names:
            self.peft.save_pretrained(str(directory), selected_adapters=[name], safe_serialization=True)
        (directory / "README.md").unlink(missing_ok=True)  # a template without content

    @contextmanager
    def acting_as(self, agent: Agent) -> Iterator[None]:
        """Forwards and backwards inside use this agent's adapter, with gradients and dropout."""
        with self._mode(agent):
            yield

    @contextmanager
    def decoding_as(self, agent: Agent) -> Iterator[None]:
        """Forwards inside use a compute-dtype copy of the adapter, without gradients or dropout."""
        self._fused.load(self._adapter(agent))
        with self._mode(agent, decoding=True), torch.inference_mode():
            yield

    def freeze_reference(self) -> None:
        """Make every agent's adapter, as it is now, its reference; until then that is the base alone."""
        for name in self.names:
            frozen = [nn.Parameter(p.detach().clone(), requires_grad=False) for p in self.parameters_of(name)]
            self._starts[name] = nn.ParameterList(frozen)
            self._start_matrices[name] = list(zip(frozen[0::2], frozen[1::2], strict=True))

    @property
    def reference_name(self) -> str:
        """What the agents are compared with: `base`, or a digest of their frozen starts."""
        if not self._starts:
            return "base"
        digest = hashlib.sha256()
        for parameter in self._starts.parameters():
            digest.update(parameter.detach().cpu().numpy().tobytes())
        return f"initial adapters {digest.hexdigest()[:16]}"

    @contextmanager
    def reference(self, agent: Agent) -> Iterator[None]:
        """Forwards inside use the frozen base, alone or with the agent's frozen start; no gradients."""
        with self._mode(agent if agent in self._starts else None, as_reference=True), torch.no_grad():
            yield

    @contextmanager
    def _mode(
        self, agent: Agent | None, decoding: bool = False, as_reference: bool = False
    ) -> Iterator[None]:
        before = self._acting, self._decoding, self._as_reference
        self._acting, self._decoding, self._as_reference = agent, decoding, as_reference
        try:
            yield
        finally:
            self._acting, self._decoding, self._as_reference = before

    def _through(self, group: Group, x: Tensor) -> Tensor:
        """Outputs of layers that read `x`, for whoever acts."""
        if self._decoding:
            return group.decoding(x)
        if self._acting is None:
            return group.frozen(x)
        return trained(group, x, self._adapter(self._acting))

    def _adapter(self, agent: Agent) -> TrainedAdapter:
        """What acts for `agent`; all layers of an adapter have the same scale."""
        return TrainedAdapter(
            matrices=(self._start_matrices if self._as_reference else self._matrices)[agent],
            scale=self._layers[0].scaling[agent],
            dropout=self._dropout if self.training and not self._as_reference else 0.0,
        )

    @torch.no_grad()
    def _one_token(self) -> None:
        token = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        self.hidden(token, token, TreeView(token, token, token))

    def _apply(self, *args: Any, **kwargs: Any) -> Agents:
        self._fused.forget()
        super()._apply(*args, **kwargs)
        follow_weights(self._base)
        return self


def _matrices(layer: LoraLayer, agent: Agent) -> Matrices:
    """The adapter's A `[r, in]` and B `[out, r]` in one layer."""
    down, up = layer.lora_A[agent].weight, layer.lora_B[agent].weight
    assert isinstance(down, nn.Parameter) and isinstance(up, nn.Parameter)
    return down, up
