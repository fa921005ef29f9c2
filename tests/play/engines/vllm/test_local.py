"""A server that is started for a run: its command, and how it begins and ends; `sh` stands for it here."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.vllm.local import Command, started

COMMAND = Command("python", "base", "float32", context=512, rank=8, adapters=2, on_cpu=True)
PRETENDS = """#!{python}
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = json.dumps({{"data": [{{"id": "base", "parent": None, "max_model_len": 7}}]}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("rank", "taken"), [(1, "1"), (4, "8"), (8, "8"), (300, "320"), (512, "512")])
def test_ranks_are_rounded_up_to_one_that_vllm_takes(rank: int, taken: str) -> None:
    words = replace(COMMAND, rank=rank).words(8000)
    assert words[words.index("--max-lora-rank") + 1] == taken


def test_a_rank_beyond_vllm_s_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.team\.lora\.r is 513"):
        replace(COMMAND, rank=513).words(8000)


def test_a_user_s_arguments_come_last_and_a_gpu_gets_no_block_size() -> None:
    words = replace(COMMAND, on_cpu=False, further=("--dtype", "half")).words(8000)
    assert words[-2:] == ["--dtype", "half"] and "--block-size" not in words
    assert "--no-enable-chunked-prefill" not in words
    assert "VLLM_CPU_KVCACHE_SPACE" not in replace(COMMAND, on_cpu=False).environment()


@pytest.mark.parametrize(("context", "read"), [(512, "2048"), (4096, "4096")])
def test_a_cpu_reads_prompts_whole(context: int, read: str) -> None:
    """A prompt that is read in two steps ends vLLM there, if its request has a seed."""
    words = replace(COMMAND, context=context).words(8000)
    assert "--no-enable-chunked-prefill" in words
    assert words[words.index("--max-num-batched-tokens") + 1] == read


def test_it_ends_with_the_block(tmp_path: Path) -> None:
    python = executable(tmp_path / "serve", PRETENDS.format(python=sys.executable))
    with started(replace(COMMAND, python=python), timeout=20) as (server,):
        assert server.facts().context_limit == 7
    from flowdpo_pl.play.engines.vllm.server import ServerLost

    with pytest.raises(ServerLost):
        server.facts()


def test_one_that_does_not_start_is_told_in_its_last_words(tmp_path: Path) -> None:
    python = executable(tmp_path / "serve", "#!/bin/sh\necho 'RuntimeError: no memory'\necho bye\nexit 1\n")
    with (
        pytest.raises(UserError, match="ends as it starts: RuntimeError: no memory"),
        started(replace(COMMAND, python=python), timeout=20),
    ):
        pass
    with (
        pytest.raises(UserError, match=r"model\.team\.engine\.python: .*missing can't be started"),
        started(replace(COMMAND, python=str(tmp_path / "missing")), timeout=20),
    ):
        pass


def test_one_that_never_answers_is_ended(tmp_path: Path) -> None:
    python = executable(tmp_path / "serve", "#!/bin/sh\nsleep 60\n")
    with (
        pytest.raises(UserError, match="does not answer in 1 s"),
        started(replace(COMMAND, python=python), timeout=1),
    ):
        pass
