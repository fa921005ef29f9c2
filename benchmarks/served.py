"""A batch played on vLLM servers, beside what is possible there.

`play`: through our engine on a real server, and by a bare client that sends the very same requests, wave
by wave and all at once, and does nothing else. `servers`: on two scripted servers of a fixed speed, and on
one. `faults`: on two one of which dies, hangs or slows down at some moment. `kills`: the trainer of a whole
run dies, again and again. `wrong`: the server of a run plays other weights from some batch on. The last line
is JSON.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from threading import Lock, Timer
from typing import Any, TypeAlias

import httpx2
import numpy as np
from jsonargparse import auto_cli

from benchmarks.killed_trainers import kills
from benchmarks.repeat import report
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.vllm.engine import VLLMEngine
from flowdpo_pl.play.engines.vllm.fleet import Fleet, Job
from flowdpo_pl.play.engines.vllm.opened import OpenVLLM
from flowdpo_pl.play.engines.vllm.params import Asks
from flowdpo_pl.play.engines.vllm.server import AT_ONCE, Generated, Server
from flowdpo_pl.play.engines.vllm.settings import LocalVLLM
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import Problem
from tests.fake_vllm import FakeVLLM, Floats, serving
from tests.runs import ROOT, module
from tests.wrong_server import KINDS, run_that_goes_wrong, toy

Wave: TypeAlias = list[dict[str, Any]]
_BLOCK = 16
_PROBLEMS = ROOT / "quickstart" / "problems" / "train.jsonl"


def play(python: str, problems: int = 16, rounds: int = 12) -> None:
    """Seconds of a batch, and of a bare client's with its requests: the medians of the rounds' ratios.

    Beside them the seconds of a core that this process itself took, by our engine and by the bare client.

    Args:
        python: an interpreter that has vllm.
        problems: of a batch; every round has others.
        rounds: each plays its batch once unmeasured, then by all three, in an order that turns.
    """
    run: FlowDPOModule = module(engine=LocalVLLM(python, timeout=1200.0))
    run.configure_model()
    opened = run.players.opened
    assert isinstance(opened, OpenVLLM)
    stream = _problems()
    measured: list[dict[str, float]] = []
    for number in range(rounds):
        batch = [next(stream) for _ in range(problems)]
        with _recorded() as waves:
            run.rollouts.play(batch, run.exploration)
        assert opened.session._link is not None
        url = opened.session._link.fleet.places[0].server.url
        lots: list[Wave] = [[], []]  # moves and choices apart, as a run sends them
        for request in (request for wave in waves for request in wave):
            lots["logprob_token_ids" in request["sampling_params"]].append(request)
        passes: dict[str, Callable[[], object]] = {
            "engine": partial(run.rollouts.play, batch, run.exploration),
            "waves": partial(_bare, url, waves),
            "at_once": partial(_bare, url, lots),
        }
        names = [*passes][number % 3 :] + [*passes][: number % 3]
        measured.append({"requests": float(sum(map(len, waves))), "waves_sent": float(len(waves))})
        for name in names:
            used = time.process_time()
            with _salted(f"{name}{number}"):
                measured[-1][name] = _seconds(passes[name])
            measured[-1][f"{name}_cpu"] = time.process_time() - used
        print(json.dumps(measured[-1]), flush=True)
    opened.close()
    own = {f"{name}_cpu": median(one[f"{name}_cpu"] for one in measured) for name in ("engine", "waves")}
    report("served.play", problems=problems, **_ratios(measured, "engine", ("waves", "at_once")), **own)


def servers(problems: int = 32, rounds: int = 3, speed: float = 1_000.0) -> None:
    """Two scripted servers, which take a fixed time for each token read or written, against one.

    They sleep meanwhile, so at this speed neither they nor the client want for a core.
    """
    measured = []
    with _Scripted(speed) as scripted:
        stream = _problems()
        for _ in range(rounds):
            batch, counts = [next(stream) for _ in range(problems)], [("one", 1), ("two", 2)]
            seconds = {name: _seconds(partial(scripted.play, batch, number)) for name, number in counts}
            measured.append(seconds)
            print(json.dumps(measured[-1]), flush=True)
    report("served.servers", problems=problems, **_ratios(measured, "two", ("one",)))


def faults(problems: int = 16, times: int = 10, speed: float = 4_000.0, timeout: float = 2.0) -> None:
    """One of two scripted servers dies, hangs or gets ten times slower at a random moment of a batch."""
    random.seed(0)
    results = {}
    with _Scripted(speed, timeout) as scripted:
        stream = _problems()
        batch = [next(stream) for _ in range(problems)]
        sound = median(_seconds(partial(scripted.play, batch, 2)) for _ in range(3))
        kept = scripted.play(batch, 2)
        for fault, wrong in _FAULTS.items():
            seconds, same, lost = [], 0, 0
            for _ in range(times):
                timer = Timer(random.uniform(0, sound), wrong, (scripted.fakes[1],))
                timer.start()
                started = time.perf_counter()
                trees = scripted.play(batch, 2)
                seconds.append(time.perf_counter() - started)
                timer.join()
                lost += scripted.losses
                same += trees == kept
                scripted.mend()
            results[fault] = {
                "batches": times,
                "whole": len(seconds),
                "same_moves": same,
                "servers_lost": lost,
                "seconds": median(seconds),
                "most_seconds": max(seconds),
            }
            print(json.dumps({fault: results[fault]}), flush=True)
    report("served.faults", problems=problems, sound_seconds=sound, timeout=timeout, **results)


def wrong(after: int = 512, batch: int = 32) -> None:
    """A server that plays other weights under the right names after so many problems, in five ways."""
    seen = {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            ended = run_that_goes_wrong(kind, Path(folder), after, batch, **toy())
        seen[kind.__name__] = {
            "told": ended.told,
            "problems": ended.problems,
            "learnt_nothing": ended.learnt_nothing,
        }
        print(json.dumps({kind.__name__: seen[kind.__name__]}), flush=True)
    report("served.wrong", after=after, **seen)


def _die(fake: FakeVLLM) -> None:
    fake.dead = True


def _hang(fake: FakeVLLM) -> None:
    fake.silent = True


def _slow(fake: FakeVLLM) -> None:
    assert isinstance(fake, _Steady)
    fake.speed /= 10


_FAULTS: dict[str, Callable[[FakeVLLM], None]] = {"dies": _die, "hangs": _hang, "slows": _slow}


@dataclass
class _Steady(FakeVLLM):
    """So many tokens a second, read or written, of all requests together; a prefix is read once."""

    speed: float = 1.0
    turn: Lock = field(default_factory=Lock)
    known: set[tuple[str, int]] = field(default_factory=set)
    """Whole blocks of prompts that were read, by who read them."""

    def _generate(self, body: dict[str, Any]) -> tuple[int, Any]:
        status, answer = super()._generate(body)
        written = answer["choices"][0]["token_ids"] if status == 200 else ()
        with self.turn:
            time.sleep((self._unread(body["model"], body["token_ids"]) + len(written)) / self.speed)
        return status, answer

    def _unread(self, model: str, token_ids: Sequence[int]) -> int:
        ends = range(_BLOCK, len(token_ids), _BLOCK)
        blocks = [(model, hash(tuple(token_ids[:end]))) for end in ends]
        cached = sum(block in self.known for block in blocks)
        self.known.update(blocks)
        return len(token_ids) - cached * _BLOCK


class _Scripted:
    """The quickstart's flow on servers that draw from the same logits everywhere."""

    def __init__(self, speed: float, timeout: float = 60.0) -> None:
        self._run: FlowDPOModule = module()
        self._run.configure_model()
        vocabulary = self._run.players.head.weight.shape[0]
        logits = np.random.default_rng(0).normal(size=vocabulary)
        self._speed, self._timeout = speed, timeout

        def same(folder: Path | None, token_ids: Sequence[int]) -> Floats:
            return logits

        self.fakes = [_Steady(same, speed=speed) for _ in range(2)]
        self.losses = 0
        self._stack = ExitStack()

    def __enter__(self) -> _Scripted:
        self._urls = [self._stack.enter_context(serving(fake)) for fake in self.fakes]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, problems: Sequence[Problem], count: int) -> object:
        """The trees of these problems on so many servers, which have read nothing yet."""
        players, run = self._run.players, self._run
        for fake in self.fakes:
            fake.known.clear()
        fleet = Fleet([Server(url, self._timeout) for url in self._urls[:count]])
        fleet.join(lambda place: None)

        class Session:
            def play(self, jobs: Sequence[Job]) -> list[Generated]:
                return fleet.play(jobs, lambda agent: None)

            @contextmanager
            def playing(self) -> Iterator[None]:
                yield

        asks = Asks(Sampling(), players.head.end_ids)
        engine = VLLMEngine(Session(), asks, run.draws)  # type: ignore[arg-type]
        try:
            return (
                Rollouts(players.prompts, engine, run.verifier, run.draws)
                .play(problems, run.exploration)
                .trees
            )
        finally:
            self.losses = fleet.losses
            fleet.close()

    def mend(self) -> None:
        for fake in self.fakes:
            fake.released.set()
            fake.dead, fake.silent, fake.speed = False, False, self._speed
            fake.released.clear()


@contextmanager
def _recorded() -> Iterator[list[Wave]]:
    """What the fleet sends meanwhile, wave by wave."""
    waves: list[Wave] = []
    sends = Fleet.play

    def records(self: Fleet, jobs: Sequence[Job], name_of: Callable[[str], str | None]) -> list[Generated]:
        waves.append(
            [
                {
                    "model": name_of(job.agent) or "base",
                    "token_ids": list(job.token_ids),
                    "sampling_params": dict(job.params),
                }
                for job in jobs
            ]
        )
        return sends(self, jobs, name_of)

    Fleet.play = records  # type: ignore[method-assign]
    try:
        yield waves
    finally:
        Fleet.play = sends  # type: ignore[method-assign]


@contextmanager
def _salted(salt: str) -> Iterator[None]:
    """All requests meanwhile share what the server caches with each other and with no earlier one."""
    sends = httpx2.Client.request

    def salted(self: httpx2.Client, method: str, url: str, *, json: Any = None, **options: Any) -> Any:
        if json is not None and "token_ids" in json:
            json = {**json, "cache_salt": salt}
        return sends(self, method, url, json=json, **options)

    httpx2.Client.request = salted  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        httpx2.Client.request = sends  # type: ignore[method-assign]


def _bare(url: str, waves: Sequence[Wave]) -> None:
    """Send these requests, wave by wave, and read the answers' JSON."""
    limits = httpx2.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=3.0)
    with (
        httpx2.Client(base_url=url, limits=limits, timeout=600, trust_env=False) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):

        def sent(body: dict[str, Any]) -> object:
            try:
                answer = client.request("POST", "/inference/v1/generate", json=body)
            except httpx2.TransportError:  # a connection that the server has just closed
                answer = client.request("POST", "/inference/v1/generate", json=body)
            return answer.raise_for_status().json()

        for wave in waves:
            for _ in pool.map(sent, wave):
                pass


def _problems() -> Iterator[Problem]:
    for line in _PROBLEMS.open():
        row = json.loads(line)
        yield Problem(row["id"], row["question"], row["answer"])


def _seconds(does: Callable[[], object]) -> float:
    started = time.perf_counter()
    does()
    return time.perf_counter() - started


def _ratios(measured: Sequence[Mapping[str, float]], ours: str, others: Sequence[str]) -> dict[str, Any]:
    """Medians: of the seconds, and of the others' seconds over ours."""
    medians = {f"{name}_seconds": median(one[name] for one in measured) for name in (ours, *others)}
    speeds = {f"against_{name}": median(one[name] / one[ours] for one in measured) for name in others}
    return {**medians, **speeds, "rounds": len(measured)}


if __name__ == "__main__":
    auto_cli([play, servers, faults, kills, wrong], as_positional=False)
