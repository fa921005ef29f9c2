"""What a config says of vLLM: the servers that are there, or how one is started for the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowdpo_pl.errors import POSITIVE, UserError, require_within
from flowdpo_pl.play.engines.engine_settings import EngineSettings, OpenEngine

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.output_head import OutputHead


@dataclass(frozen=True)
class VLLM(EngineSettings):
    """Plays on vLLM servers that run already; docs/scale.md has the command that starts one."""

    servers: list[str]
    """Their addresses, such as http://127.0.0.1:8000; several share the work."""
    folder: str | None = None
    """Where adapters are written for the servers to read, seen under the same path by all; null: memory of
    this machine, for servers beside the trainer."""
    timeout: float = 600.0
    """Seconds after which a server that gives no answer is lost; its requests go to another."""
    gap_warns: float = 0.1
    """Nats a token between a server's log-probabilities of the pairs' moves and the trainer's: more is warned
    of. In bfloat16 0.04 is usual."""
    gap_stops: float = 0.3
    """Nothing is learnt, and the run ends, where they differ by more."""

    def __post_init__(self) -> None:
        _require_sound(self)
        if not self.servers:
            raise UserError(
                "model.team.engine.servers is empty: give an address, such as http://127.0.0.1:8000."
            )
        for server in self.servers:
            if not server.startswith(("http://", "https://")):
                raise UserError(
                    f"model.team.engine.servers has {server!r}: give an address, such as http://127.0.0.1:8000."
                )
        if len({server.rstrip("/") for server in self.servers}) < len(self.servers):
            raise UserError("model.team.engine.servers names a server twice: name each once.")

    def open(self, agents: Agents, head: OutputHead, decode_tokens: int) -> OpenEngine:
        from flowdpo_pl.play.engines.vllm.opened import OpenVLLM, running
        from flowdpo_pl.play.engines.vllm.session import Session

        folder = None if self.folder is None else Path(self.folder)
        session = Session(agents, head, lambda: running(self.servers, self.timeout), folder)
        return OpenVLLM(session, head.end_ids, self.gap_warns, self.gap_stops)


@dataclass(frozen=True)
class LocalVLLM(EngineSettings):
    """Plays on one vLLM server that is started for the run on this machine, and ends with it."""

    python: str
    """An interpreter that has vllm: an environment of its own, since vllm brings its own torch."""
    arguments: tuple[str, ...] = ()
    """Further arguments of the server, such as [--gpu-memory-utilization, "0.4"]."""
    timeout: float = 600.0
    """Seconds after which a server that gives no answer is lost; it may take as long to start."""
    gap_warns: float = 0.1
    """As for VLLM."""
    gap_stops: float = 0.3
    """As for VLLM."""

    def __post_init__(self) -> None:
        _require_sound(self)

    def open(self, agents: Agents, head: OutputHead, decode_tokens: int) -> OpenEngine:
        import torch

        from flowdpo_pl.distributed import ranks

        if ranks() > 1:
            raise UserError(
                f"model.team.engine LocalVLLM starts a server for one process, and {ranks()} would start as "
                "many: start servers yourself, and name them all with flowdpo_pl.VLLM (docs/scale.md)."
            )
        from flowdpo_pl.play.engines.vllm.local import Command, started
        from flowdpo_pl.play.engines.vllm.opened import OpenVLLM
        from flowdpo_pl.play.engines.vllm.session import Session

        command = Command(
            python=self.python,
            base=str(agents.base.name_or_path),
            dtype=str(agents.dtype).removeprefix("torch."),
            context=agents.context_limit,
            rank=agents.rank,
            adapters=len(agents.names),
            on_cpu=not torch.cuda.is_available(),
            further=self.arguments,
        )
        session = Session(agents, head, lambda: started(command, self.timeout), None)
        return OpenVLLM(session, head.end_ids, self.gap_warns, self.gap_stops)


def _require_sound(told: VLLM | LocalVLLM) -> None:
    """
    Raises:
        UserError: names the setting.
    """
    for name in ("timeout", "gap_warns", "gap_stops"):
        require_within(POSITIVE, {f"model.team.engine.{name}": getattr(told, name)})
    if told.gap_warns > told.gap_stops:
        raise UserError(
            f"model.team.engine.gap_warns is {told.gap_warns:g} and gap_stops {told.gap_stops:g}: "
            "give gap_warns at most as much."
        )
