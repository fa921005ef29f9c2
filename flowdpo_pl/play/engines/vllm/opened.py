"""vLLM as the engine of loaded agents, before it knows its draws; see `engine_settings.OpenEngine`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.engines.engine_settings import Tolerance
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.vllm.engine import VLLMEngine
from flowdpo_pl.play.engines.vllm.params import Asks
from flowdpo_pl.play.engines.vllm.server import Server
from flowdpo_pl.play.engines.vllm.session import Session


@dataclass(frozen=True)
class OpenVLLM:
    """A session with servers; they stay connected over batches."""

    session: Session
    end_ids: tuple[int, ...]
    gap_warns: float
    gap_stops: float

    @property
    def context_limit(self) -> int:
        return self.session.context_limit

    @property
    def tolerance(self) -> Tolerance:
        return Tolerance(self.session.noise, self.gap_warns, self.gap_stops)

    def engine(self, draws: Draws, sampling: Sampling) -> VLLMEngine:
        """
        Raises:
            UserError: vLLM would draw from another distribution.
        """
        return VLLMEngine(self.session, Asks(sampling, self.end_ids), draws)

    def close(self) -> None:
        self.session.close()


@contextmanager
def running(urls: Sequence[str], timeout: float) -> Iterator[list[Server]]:
    """Servers that somebody else started, and that stay when we are done."""
    yield [Server(url, timeout) for url in urls]
