"""The frozen base model that the agents share: where it is and how it is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.hub import require_on_hub
from flowdpo_pl.model.quantization import Quantization, compute_in, loading_options
from flowdpo_pl.quiet import bars_on_a_terminal

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class BaseModel:
    """A causal language model of transformers."""

    path: str
    """Hub id, or a folder with config.json, safetensors weights and tokenizer."""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Of the frozen weights and of the computation; adapters stay in float32."""
    quantization: Quantization | None = None
    """Store the linear layers in 4 bits (`nf4`) or 8 (`int8`) by bitsandbytes; the rest keeps `dtype`."""
    revision: str = "main"
    """Hub revision."""
    trust_remote_code: bool = False
    """Run model code that comes with the weights. Only for sources you trust."""
    compare_weights: bool = True
    """Compare log-probabilities of 64 tokens with transformers' own attention before anything else."""

    def load(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The frozen model in eval mode, with the project's attention, and its tokenizer.

        Raises:
            UserError: nothing loadable is at `path`, or it can't be quantised as asked.
        """
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        from flowdpo_pl.model.attention import ATTENTION, register

        register()
        options: dict[str, Any] = {"revision": self.revision, "trust_remote_code": self.trust_remote_code}
        if not require_model_folder(self.path):
            answered = require_on_hub("model.team.base.path", self.path, "model", self.revision)
            options["local_files_only"] = not answered
        dtype = getattr(torch, self.dtype)
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.path, **options)
            quantized = loading_options(
                self.quantization, AutoConfig.from_pretrained(self.path, **options), dtype
            )
            with bars_on_a_terminal():
                model = AutoModelForCausalLM.from_pretrained(
                    self.path,
                    dtype=dtype,
                    attn_implementation=ATTENTION,
                    use_safetensors=True,
                    **quantized,
                    **options,
                )
        except OSError as error:
            raise UserError(
                f"the base {self.path!r} (model.team.base.path) can't be loaded: {str(error).splitlines()[0]}"
            ) from error
        except (UserError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a class that does not know of attention functions, a config of its own
            first = (str(error).splitlines() or [""])[0]
            raise UserError(
                f"the base {self.path!r} (model.team.base.path) is no model that can be used: "
                f"{type(error).__name__}: {first}"
            ) from error
        if quantized:
            compute_in(model, dtype)
        model.requires_grad_(False)
        return model.eval(), tokenizer

    def load_tokenizer(self) -> tuple[PreTrainedTokenizerBase, tuple[int, ...]]:
        """The tokenizer and every token that ends a turn; no weights are read.

        Raises:
            UserError: there is nothing loadable at `path`.
        """
        from transformers import AutoConfig, AutoTokenizer

        options: dict[str, Any] = {"revision": self.revision}
        if not require_model_folder(self.path):
            answered = require_on_hub("model.team.base.path", self.path, "model", self.revision)
            options["local_files_only"] = not answered
        trusting = {**options, "trust_remote_code": self.trust_remote_code}
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.path, **trusting)
            config = AutoConfig.from_pretrained(self.path, **trusting)
            ends = tokenizer.eos_token_id, self._ends_of_generation(config, options), config.eos_token_id
            return tokenizer, _end_ids(*ends)
        except Exception as error:  # each of its files may be of another form
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"the base {self.path!r} (model.team.base.path) can't be read: {first}"
            ) from error

    def _ends_of_generation(self, config: PretrainedConfig, options: Mapping[str, Any]) -> Any:
        """What ends a turn by the generation config, which transformers makes of the model's where there is
        none."""
        from transformers import GenerationConfig

        try:
            return GenerationConfig.from_pretrained(self.path, **options).eos_token_id
        except OSError:
            return GenerationConfig.from_model_config(config).eos_token_id


def require_model_folder(path: str) -> bool:
    """Whether a base means a local folder, which must hold a model; hub ids are `name` or `owner/name`.

    Raises:
        UserError: it does, and there is no model; names the folder.
    """
    folder = Path(path).expanduser()
    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or folder.exists()
    if looks_local and not (folder / "config.json").is_file():
        raise UserError(
            f"the base {path!r} is no model folder (it has no config.json): give a hub id or the folder of a "
            "saved model (model.team.base.path, or --base)."
        )
    return looks_local


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Every token that ends a turn of this model by its own files, the tokenizer's first.

    What the chat template ends a turn with is added where prompts are bound to it (`play/prompts.py`).
    """
    return _end_ids(tokenizer.eos_token_id, model.generation_config.eos_token_id, model.config.eos_token_id)


def _end_ids(*sources: Any) -> tuple[int, ...]:
    """Each a token, several, or None."""
    ids: list[int] = []
    for source in sources:
        for token in source if isinstance(source, Sequence) else [source]:
            if token is not None and token not in ids:
                ids.append(int(token))
    return tuple(ids)


def context_limit(model: PreTrainedModel) -> int:
    """Longest context in tokens that one rotary embedding serves.

    Long-context scalings of the Phi-3 kind switch their frequencies beyond the original length, which
    would invalidate cached keys; they count with the original length.
    """
    config = model.config.get_text_config()
    scaling = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    original = scaling.get("original_max_position_embeddings") or getattr(
        config, "original_max_position_embeddings", None
    )
    switches = scaling.get("rope_type", scaling.get("type")) in ("longrope", "dynamic")
    return int(original if switches and original else config.max_position_embeddings)


def fingerprint(model: PreTrainedModel) -> str:
    """Of the model's shape and of a row of each of its matrices, equal in any dtype and at any path.

    The rows are those of the files, which are there in full however the model is quantised.
    """
    import torch

    config = model.config.get_text_config()
    names = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    digest = hashlib.sha256(json.dumps([str(getattr(config, name, None)) for name in names]).encode())
    table = model.get_input_embeddings().weight
    assert isinstance(table, torch.Tensor)
    rows = table[:: max(1, config.vocab_size // 64)]
    digest.update(rows.detach().to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes())
    for stored in _stored_rows(model):
        digest.update(stored)
    return digest.hexdigest()[:16]


def _stored_rows(model: PreTrainedModel) -> Iterator[bytes]:
    """The middle row of every matrix in the model's files, by name; tables of the vocabulary, which may be
    stored once or twice, left out."""
    import torch
    from safetensors import safe_open

    places: dict[str, Path] = {}
    folder = _folder_of(model)
    for file in folder.glob("*.safetensors") if folder is not None else ():
        with safe_open(file, framework="pt") as stored:
            places |= dict.fromkeys(stored.keys(), file)
    vocabulary = model.config.get_text_config().vocab_size
    for name in sorted(places):
        with safe_open(places[name], framework="pt") as stored:
            part = stored.get_slice(name)
            rows, *columns = part.get_shape() or [0]
            if len(columns) != 1 or rows == vocabulary:
                continue
            row = part[rows // 2]
        row = row.to(torch.bfloat16).view(torch.int16) if row.is_floating_point() else row
        yield row.numpy().tobytes()


def _folder_of(model: PreTrainedModel) -> Path | None:
    """Where the model's files are: the folder that it was loaded from, or its copy of the hub's; or None."""
    from huggingface_hub import try_to_load_from_cache

    name = model.name_or_path or ""
    folder = Path(name).expanduser()
    commit = getattr(model.config, "_commit_hash", None)  # of what came from the hub alone
    if folder.is_dir() or commit is None:
        return folder if name else None
    config = try_to_load_from_cache(name, "config.json", revision=commit)
    return Path(config).parent if isinstance(config, str) else folder


def decoder_of(model: PreTrainedModel) -> torch.nn.Module:
    """The transformer without its output head: token ids to hidden states."""
    decoder: torch.nn.Module = model.get_decoder()
    return decoder
