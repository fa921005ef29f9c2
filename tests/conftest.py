"""Shared fixtures: a tiny random world in which every part can be compared with its oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import pytest
import torch

from flowdpo_pl.draws import Draws
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel, end_token_ids
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.play.engines.native import NativeEngine
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.verifier import Verifier
from tests.finished_runs import fit_quickstart
from tests.models import write_model
from tests.oracles import PlainAgents, PlainEngine
from tests.runs import ROOT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

torch.set_num_threads(1)  # tiny models: a second thread only waits, and xdist uses the cores

PROMPTS = {
    ANSWER: AgentPrompt("the problem : {question}"),
    STOP: AgentPrompt("the problem : {question} so far : {partial} is it finished ?", options=("Yes", "No")),
}


FLOW = AnswerStopFlow(chunk_tokens=5, max_chunks=3)


class CoinJudge(Verifier):
    """A verdict that is a fixed coin toss for each text: it needs no skill and flips often."""

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        future.set_result(Verdict(correct=crc32(prediction.encode()) % 2 == 0, extracted=prediction))
        return future


@dataclass
class World:
    """A tiny model with two moved adapters, through our code and through the oracle's."""

    folder: Path
    adapters: Path
    agents: Agents
    prompts: PromptBook
    head: OutputHead
    plain: PlainAgents
    draws: Draws
    flow: Flow

    @property
    def players(self) -> Players:
        lora = LoraSettings(r=4, alpha=8, dropout=0.0)
        return Players(self.agents, self.prompts, lora, decode_tokens=65_536)

    def rollouts(self, token_budget: int = 65_536) -> Rollouts:
        engine = NativeEngine(self.agents, self.head, self.draws, Sampling(), token_budget)
        return Rollouts(self.prompts, engine, CoinJudge(), self.draws)

    def plain_rollouts(self) -> Rollouts:
        engine = PlainEngine(self.plain, self.prompts.end_ids, self.draws)
        return Rollouts(self.prompts, engine, CoinJudge(), self.draws)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the tiny random model of a family."""
    written: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in written:
            written[family] = write_model(tmp_path_factory.mktemp(family), family)
        return written[family]

    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run of the quickstart; not to be written to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return fit_quickstart(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where worlds are; tests/gpu has its own."""
    return torch.device("cpu")


@pytest.fixture
def make_world(models: Callable[[str], Path], tmp_path: Path, device: torch.device) -> Callable[..., World]:
    def make(
        family: str = "llama",
        seed: int = 0,
        activation_checkpointing: bool = False,
        dtype: Literal["float32", "bfloat16", "float64"] = "float32",
        flow: Flow = FLOW,
        prompts: Mapping[str, AgentPrompt] = PROMPTS,
        adapted: Sequence[str] | None = None,
        dropout: float = 0.0,
    ) -> World:
        folder = models(family)
        model, tokenizer = BaseModel(str(folder), dtype=dtype).load()  # type: ignore[arg-type]
        agents = Agents(
            model,
            flow.agents if adapted is None else adapted,
            LoraSettings(r=4, alpha=8, dropout=dropout),
            seed,
            activation_checkpointing,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed + 1)
            for name in agents.names:
                for parameter in agents.parameters_of(name):  # trained adapters, not the zero start
                    parameter.data.normal_(std=0.15)
        agents.save(tmp_path / "adapters")
        agents.to(device)
        end_ids = end_token_ids(model, tokenizer)
        return World(
            folder=folder,
            agents=agents,
            prompts=PromptBook(flow, prompts, tokenizer, end_ids),
            head=agents.head(end_ids),
            plain=PlainAgents(folder, tmp_path / "adapters", agents.names, device),
            adapters=tmp_path / "adapters",
            draws=Draws(seed),
            flow=flow,
        )

    return make


@pytest.fixture
def problems() -> list[Problem]:
    return [
        Problem(id=f"p{n}", question=" ".join(str((7 * n + k) % 44) for k in range(3 + 3 * n)), gold="0")
        for n in range(6)
    ]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Pictures that are written."""
    from matplotlib.figure import Figure

    found: list[Figure] = []
    save = Figure.savefig

    def kept(self: Figure, *args: object, **options: object) -> None:
        found.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    return found
