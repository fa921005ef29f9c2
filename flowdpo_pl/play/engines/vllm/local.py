"""A vLLM server that is started for a run, beside the trainer, and ends with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.vllm.own_folder import own_folder
from flowdpo_pl.play.engines.vllm.server import Server, ServerLost
from flowdpo_pl.play.engines.vllm.watching import watched

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for --max-lora-rank; smaller adapters load too."""
_READ_AT_ONCE = 2048
"""Tokens of a step, where they are fewer than a context has; vLLM's own default on a CPU."""
_SECONDS_TO_END = 10


@dataclass(frozen=True)
class Command:
    """How a server is started."""

    python: str
    base: str
    """Folder or hub id of the base."""
    dtype: str
    context: int
    """Tokens of prompt and answer."""
    rank: int
    """Of the adapters."""
    adapters: int
    """Agents that have one."""
    on_cpu: bool
    further: tuple[str, ...] = ()

    def words(self, port: int) -> list[str]:
        """
        Raises:
            UserError: vLLM has no adapters of so large a rank.
        """
        if not (ranks := [rank for rank in _RANKS if rank >= self.rank]):
            raise UserError(
                f"model.team.lora.r is {self.rank}, but vLLM takes at most {_RANKS[-1]}: set less."
            )
        adapters = max(1, self.adapters)
        return [
            *(self.python, "-m", "vllm.entrypoints.openai.api_server"),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--model", self.base, "--served-model-name", "base", "--dtype", self.dtype),
            *("--max-model-len", str(self.context)),
            *("--enable-lora", "--max-lora-rank", str(ranks[0])),
            # the versions before and after an update, of each agent
            *("--max-loras", str(adapters), "--max-cpu-loras", str(2 * adapters)),
            *("--enable-scale-out", "--generation-config", "vllm"),
            *("--logprobs-mode", "processed_logprobs"),
            *(self._on_cpu() if self.on_cpu else ()),
            *self.further,
        ]

    def _on_cpu(self) -> tuple[str, ...]:
        """The grain of cached prefixes, 128 else; and whole prompts alone.

        A request with a seed whose prompt is read in two steps ends vLLM 0.32 on a CPU.
        """
        whole = (
            "--no-enable-chunked-prefill",
            "--max-num-batched-tokens",
            str(max(self.context, _READ_AT_ONCE)),
        )
        return ("--block-size", "32", *whole)

    def environment(self) -> dict[str, str]:
        own = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        if self.on_cpu:
            own |= {
                "VLLM_CPU_KVCACHE_SPACE": "1",
                "VLLM_CPU_OMP_THREADS_BIND": f"0-{(os.cpu_count() or 1) - 1}",
            }
        return {**own, **os.environ, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}


@contextmanager
def started(command: Command, timeout: float) -> Iterator[list[Server]]:
    """The server, once it answers; it ends with the block.

    Raises:
        UserError: it ends at once, or does not answer in `timeout` seconds; shows the end of what it says.
    """
    port = _free_port()
    with own_folder("vllm") as folder:
        told = folder / "server.log"
        process = _process(command.words(port), command.environment(), told)
        try:
            server = Server(f"http://127.0.0.1:{port}", timeout)
            with watched(process.pid):
                _wait(server, process, told, timeout)
                yield [server]
        finally:
            _end(process)


def _process(words: Sequence[str], environment: dict[str, str], told: Path) -> subprocess.Popen[bytes]:
    try:
        with told.open("wb") as log:
            # in a session of its own: a Ctrl-C is the trainer's to hear
            return subprocess.Popen(
                words, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
    except OSError as error:
        raise UserError(
            f"model.team.engine.python: {words[0]} can't be started ({error}): name an interpreter that "
            "has vllm, or play on this machine: model.team.engine flowdpo_pl.Native (`ask --engine`)."
        ) from error


def _wait(server: Server, process: subprocess.Popen[bytes], told: Path, timeout: float) -> None:
    until = time.monotonic() + timeout
    while True:
        if process.poll() is not None:
            raise UserError(f"the vLLM server ends as it starts: {_last_words(told)}")
        try:
            server.facts()
            return
        except ServerLost:
            if time.monotonic() > until:
                raise UserError(
                    f"the vLLM server does not answer in {timeout:g} s (model.team.engine.timeout): "
                    f"{_last_words(told)}"
                ) from None
        time.sleep(0.5)


def _last_words(told: Path) -> str:
    lines = [line.strip() for line in told.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or ["it says nothing."])[-1]


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server and the processes of its engine."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, ending)
        except ProcessLookupError:
            return
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
