"""What every engine must do, as checks against plain logits: the native one, vLLM's, any other.

Laws are checked by enumeration: all moves of two tokens, and frequencies of draws against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.engines.choosing import choice
from flowdpo_pl.play.engines.engine_settings import EngineSettings
from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, Engine, WriteRequest, Written
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.types import Agent
from tests.conftest import World

Floats = NDArray[np.float64]
_POOLS = 20


@dataclass(frozen=True)
class Stage:
    """An engine to be checked, and what it ought to compute."""

    engine: Callable[[Sampling], Engine]
    logits: Callable[[Agent, Sequence[int]], Floats]
    """Of every next token, [T, V], in an agent's own words; end tokens not merged."""
    draws: Draws
    agents: tuple[Agent, ...]
    prefixes: tuple[tuple[int, ...], ...]
    """Of several problems, of different length."""
    words: tuple[int, ...]
    """Token ids to choose from."""
    end_ids: tuple[int, ...]
    nats: float = 1e-4
    """How far a token's log-probability may be off."""

    def next(self, agent: Agent, token_ids: Sequence[int]) -> Floats:
        """Logits [V] of the next token, with all end tokens as one."""
        logits = self.logits(agent, token_ids)[-1].astype(np.float64)
        ends = list(self.end_ids)
        together = np.logaddexp.reduce(logits[ends])
        logits[ends] = -np.inf
        logits[ends[0]] = together
        return logits

    def law(self, agent: Agent, prefix: Sequence[int], move: Sequence[int], temperature: float) -> Floats:
        """Probabilities [V] of the token after `move`; no move begins with its end."""
        logits = self.next(agent, (*prefix, *move))
        if not move:
            logits[self.end_ids[0]] = -np.inf
        weights: Floats = np.exp((logits - logits.max()) / temperature)
        return weights / weights.sum()

    def write(self, index: int = 0, agent: int = 0, **options: Any) -> WriteRequest:
        asked: dict[str, Any] = {"branch": "", "turn": 0, "max_tokens": 6, **options}
        problem = asked.pop("problem_id", f"p{index}")
        return WriteRequest(self.agents[agent], problem, prefix=self.prefixes[index], **asked)

    def choose(self, index: int = 0, agent: int = 1, **options: Any) -> ChooseRequest:
        asked: dict[str, Any] = {"branch": "", "turn": 1, "suffix": self.words[:1], **options}
        problem = asked.pop("problem_id", f"p{index}")
        prefix = self.prefixes[index]
        return ChooseRequest(self.agents[agent], problem, prefix=prefix, options=self.words, **asked)


PREFIXES = tuple(tuple(7 + (5 * n + k) % 57 for k in range(4 + 9 * n)) for n in range(4))


@contextmanager
def staged(
    world: World, settings: EngineSettings, nats: float = Stage.nats
) -> Iterator[Callable[[tuple[int, ...]], Stage]]:
    """What puts a world's agents on an engine, given the end tokens; all engines are closed behind it."""

    def plain(agent: str, token_ids: Sequence[int]) -> Floats:
        return world.plain.logits(agent, token_ids).detach().double().numpy()

    def on_stage(end_ids: tuple[int, ...]) -> Stage:
        opened = engines.enter_context(
            closing(settings.open(world.agents, replace(world.head, end_ids=end_ids), decode_tokens=65_536))
        )
        return Stage(
            engine=lambda sampling: opened.engine(world.draws, sampling),
            logits=plain,
            draws=world.draws,
            agents=world.agents.names,
            prefixes=PREFIXES,
            words=(7, 8, 9),
            end_ids=end_ids,
            nats=nats,
        )

    with ExitStack() as engines:
        yield on_stage


def all_moves(engine: Engine, requests: Sequence[WriteRequest]) -> list[Written]:
    """All of one batch."""
    with engine.playing():
        return engine.write(requests)


def all_choices(engine: Engine, requests: Sequence[ChooseRequest]) -> list[Chosen]:
    """All of one batch."""
    with engine.playing():
        return engine.choose(requests)


def check_empty_batches(stage: Stage) -> None:
    engine = stage.engine(Sampling())
    with engine.playing():
        assert engine.write([]) == [] and engine.choose([]) == []


def check_greedy_moves_in_order(stage: Stage) -> None:
    """Both agents, several prefixes, mixed: each gets its own move, and nothing else could be drawn."""
    requests = [
        stage.write(index, agent, alternative=True)
        for index in range(len(stage.prefixes))
        for agent in (0, 1)
    ]
    engine = stage.engine(Sampling(temperature=0))
    for asked in (requests, requests[::-1]):
        for request, written in zip(asked, all_moves(engine, asked), strict=True):
            move: list[int] = []
            while len(move) < request.max_tokens and move[-1:] != [stage.end_ids[0]]:
                move.append(int(stage.law(request.agent, request.prefix, move, 1.0).argmax()))
            assert written.token_ids == tuple(move)
            assert written.logprob == 0 and written.other is None


def check_ends_limits_and_logprobs(stage: Stage, sampling: Sampling = Sampling()) -> None:
    """A move ends with the end symbol, which is not its first token, or is as long as it may be."""
    requests = [
        stage.write(index, agent, problem_id=f"p{number}", max_tokens=length)
        for number in range(4)
        for index in range(len(stage.prefixes))
        for agent in (0, 1)
        for length in (1, 5)
    ]
    first, *others = stage.end_ids
    ended = 0
    for request, written in zip(requests, all_moves(stage.engine(sampling), requests), strict=True):
        move = written.token_ids
        assert first not in move[:-1] and not set(others) & set(move)
        assert move[0] != first
        ended += move[-1] == first
        assert len(move) == request.max_tokens or (move[-1] == first and len(move) < request.max_tokens)
        laws = [
            stage.law(request.agent, request.prefix, move[:place], sampling.temperature)
            for place in range(len(move))
        ]
        own = sum(np.log(law[token]) for law, token in zip(laws, move, strict=True))
        assert written.logprob == pytest.approx(own, abs=stage.nats * len(move))
    assert ended  # or nothing is said of ends


def check_forced_starts(stage: Stage) -> None:
    """They are the move's beginning; one that is whole comes back as it is."""
    start, end = stage.words[:2], stage.end_ids[0]
    requests = [
        stage.write(forced=start),
        stage.write(1, forced=(*start, end)),
        stage.write(1, forced=start, max_tokens=len(start)),
        stage.write(1),
    ]
    going_on, ended, full, free = all_moves(stage.engine(Sampling()), requests)
    assert going_on.token_ids[: len(start)] == start and len(going_on.token_ids) > len(start)
    law = [
        np.log(stage.law(requests[0].agent, requests[0].prefix, going_on.token_ids[:place], 1.0)[token])
        for place, token in enumerate(going_on.token_ids)
    ]
    assert going_on.logprob == pytest.approx(sum(law[len(start) :]), abs=stage.nats * len(law))
    assert (ended.token_ids, ended.logprob, ended.other) == ((*start, end), 0.0, None)
    assert (full.token_ids, full.logprob, full.other) == (start, 0.0, None)
    assert free.token_ids


def check_law_of_alternatives(stage: Stage, temperature: float, draws: int) -> None:
    """Moves of two tokens, and the starts of alternatives, as often as "draw again until it differs"."""
    agent, prefix = stage.agents[0], stage.prefixes[0]
    first = stage.law(agent, prefix, (), temperature)
    second = {
        token: stage.law(agent, prefix, (token,), temperature) for token in np.flatnonzero(first).tolist()
    }
    moves: dict[tuple[int, ...], float] = {}
    starts: Counter[tuple[int, ...]] = Counter()
    parted = np.zeros(len(first))  # the probability that another move's first token is this one
    for a, p in second.items():
        whole = first[a] * p
        again = np.where(whole < 1, whole / (1 - whole), 0.0)
        for b in np.flatnonzero(p).tolist():
            moves[a, b] = float(whole[b])
            starts[a, b] = float((again.sum() - again[b]) * whole[b])  # type: ignore[assignment]
        others = first * again.sum()
        others[a] = 0.0
        parted += others
    for token in second:
        starts[(token,)] = float(parted[token])  # type: ignore[assignment]
    requests = [
        stage.write(problem_id=f"draw {n}", max_tokens=2, alternative=True, further=2) for n in range(draws)
    ]
    engine = stage.engine(Sampling(temperature=temperature))
    results = all_moves(engine, requests)
    assert all(one.other is not None and one.other != one.token_ids[: len(one.other)] for one in results)
    require_as_likely([one.token_ids for one in results], moves)
    require_as_likely([one.other or () for one in results], starts)
    third = [one.further[1] for one in results]
    going_on = all_moves(
        engine,
        [
            stage.write(
                problem_id=f"draw {n}", branch="0.3", max_tokens=2, forced=one.token_ids, avoid=one.avoid
            )
            for n, one in enumerate(third)
        ],
    )
    lengths = [len(one.token_ids) + (one.avoid is not None) for one in third]
    begun = [one.token_ids[:length] for one, length in zip(going_on, lengths, strict=True)]
    require_as_likely(begun, starts)
    assert begun != [one.other for one in results], "an alternative of its own"


def check_law_of_choices(stage: Stage, temperature: float = 1.0) -> None:
    """Option, alternative, log-probabilities and mass are those of the plain softmax, draw by draw."""
    engine = stage.engine(Sampling(temperature=temperature))
    requests = [stage.choose(index, problem_id=f"p{n}", sample=n % 3) for n in range(8) for index in range(2)]
    for request, chosen in zip(requests, all_choices(engine, requests), strict=True):
        logits = stage.logits(request.agent, (*request.prefix, *request.suffix))[-1].astype(np.float64)
        scores = logits[list(request.options)]
        mass = np.logaddexp.reduce(scores) - np.logaddexp.reduce(logits)
        logprobs = scores - np.logaddexp.reduce(scores)
        key = stage.draws.of_sample(request.sample).key(request.problem_id, request.branch, request.turn)
        expected = choice(logprobs, float(np.exp(mass)), key, temperature)
        assert (chosen.option, chosen.other) == (expected.option, expected.other)
        assert chosen.logprob == pytest.approx(expected.logprob, abs=stage.nats / (temperature or 1.0) * 2)
        assert np.log(chosen.mass) == pytest.approx(mass, abs=stage.nats)


def check_a_draw_is_its_place_s_own(stage: Stage) -> None:
    """Neither the order nor the company of a request changes its move; another sample's is another."""
    requests = [stage.write(index, alternative=True) for index in range(len(stage.prefixes))]
    engine = stage.engine(Sampling())
    together = all_moves(engine, requests)
    assert all_moves(engine, requests[::-1]) == pytest.approx(together[::-1])
    with engine.playing():
        alone = [one for request in requests for one in engine.write([request])]
    assert [(one.token_ids, one.other) for one in alone] == [(one.token_ids, one.other) for one in together]
    samples = [replace(request, sample=n) for request in requests for n in range(3)]
    drawn = all_moves(engine, samples)
    assert [one.token_ids for one in drawn[::3]] == [one.token_ids for one in together]
    moves = [tuple(one.token_ids for one in drawn[n::3]) for n in range(3)]
    assert len(set(moves)) == 3


def require_as_likely(drawn: Sequence[tuple[int, ...]], law: Mapping[tuple[int, ...], float]) -> None:
    """Frequencies against probabilities, by chi-squared; what is expected less than five times is pooled."""
    assert sum(law.values()) == pytest.approx(1.0, abs=1e-6)
    counts = Counter(drawn)
    assert counts.keys() <= law.keys()
    expected: Counter[tuple[int, ...]] = Counter()
    seen: Counter[tuple[int, ...]] = Counter()
    for one, p in law.items():
        often = p * len(drawn) >= 5
        pool = one if often else (-1, sum((place + 1) * token for place, token in enumerate(one)) % _POOLS)
        expected[pool] += p * len(drawn)  # type: ignore[assignment]
        seen[pool] += counts[one]
    freedom = len(expected) - 1
    assert freedom >= 5
    chi = sum((seen[pool] - count) ** 2 / count for pool, count in expected.items())
    assert chi < freedom + 4 * (2 * freedom) ** 0.5, f"chi-squared {chi:.0f} of {freedom}"
