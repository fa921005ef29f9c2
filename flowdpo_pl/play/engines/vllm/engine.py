"""The engine's moves by servers: what is drawn there, and what is drawn here from their log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.choosing import choice
from flowdpo_pl.play.engines.protocol import (
    Beginning,
    ChooseRequest,
    Chosen,
    WriteRequest,
    Written,
    require_numbers,
)
from flowdpo_pl.play.engines.vllm.fleet import Job
from flowdpo_pl.play.engines.vllm.params import Asks, Params
from flowdpo_pl.play.engines.vllm.parting import parting
from flowdpo_pl.play.engines.vllm.server import Generated
from flowdpo_pl.play.engines.vllm.session import Session


@dataclass(frozen=True)
class VLLMEngine:
    """Plays agents on vLLM servers; a run's draws are as repeatable as its servers'."""

    session: Session
    asks: Asks
    draws: Draws

    def playing(self) -> AbstractContextManager[None]:
        """Adapters come with new names, so nothing that the servers cached can be taken for theirs."""
        return self.session.playing()

    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        """Moves for the requests; see `protocol.WriteRequest`.

        Raises:
            UserError: a prompt is too long for the servers, one refuses it, or none is left.
        """
        results = [Written(request.forced, 0.0) for request in requests]
        open_ = [index for index, request in enumerate(requests) if not self._complete(request)]
        moves = dict(zip(open_, self._moves([requests[index] for index in open_]), strict=True))
        parted = {
            (index, number): place
            for index, move in moves.items()
            for number in range(1 + requests[index].further)
            if (place := self._place(requests[index], move, number)) is not None
        }
        others = self._others(
            [(requests[index], moves[index], place, number) for (index, number), place in parted.items()]
        )
        starts = dict(zip(parted, others, strict=True))
        for index, move in moves.items():
            written = (*requests[index].forced, *move.token_ids)
            other, logprob = starts.get((index, 0), (None, math.nan))
            more = [starts[index, n + 1] for n in range(requests[index].further) if other is not None]
            further = tuple(Beginning(tokens, None, nats) for tokens, nats in more)
            results[index] = Written(written, math.fsum(move.logprobs), other, logprob, further)
        return results

    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        """Drawn options for the requests; see `protocol.ChooseRequest`.

        Raises:
            UserError: as for `write`.
        """
        read = self._played(
            [
                (request, (*request.prefix, *request.suffix), self.asks.scores(request.options))
                for request in requests
            ]
        )
        chosen = []
        for request, answer in zip(requests, read, strict=True):
            scores = np.array([self._score(answer, option) for option in request.options])
            require_numbers(request, scores)
            mass = float(np.logaddexp.reduce(scores))
            key = self._key(request)
            temperature, further = self.asks.sampling.temperature, request.further
            chosen.append(choice(scores - mass, math.exp(mass), key, temperature, further))
        return chosen

    def _complete(self, request: WriteRequest) -> bool:
        ended = request.forced[-1:] == self.asks.end_ids[:1]
        return ended or len(request.forced) >= request.max_tokens

    def _moves(self, requests: Sequence[WriteRequest]) -> list[Generated]:
        """What is written after each request's forced tokens, end tokens as one symbol."""
        moves = self._played(
            [
                (
                    request,
                    (*request.prefix, *request.forced),
                    self.asks.move(
                        request.max_tokens - len(request.forced), not request.forced, self._seed(request)
                    ),
                )
                for request in requests
            ]
        )
        for request, move in zip(requests, moves, strict=True):
            require_numbers(request, move.logprobs)
        if self.asks.sampling.temperature == 0:
            return [self._greedy(move) for move in moves]
        return self._with_all_ends(requests, moves)

    def _with_all_ends(self, requests: Sequence[WriteRequest], moves: Sequence[Generated]) -> list[Generated]:
        """The same, with the end symbol's probability the sum over all end tokens."""
        ends = self.asks.end_ids
        ended = [index for index, move in enumerate(moves) if move.token_ids[-1] in ends]
        if len(ends) == 1 or not ended:
            return list(moves)
        read = self._played(
            [
                (
                    requests[index],
                    (*requests[index].prefix, *requests[index].forced, *moves[index].token_ids[:-1]),
                    self.asks.scores(ends),
                )
                for index in ended
            ]
        )
        merged = [self._merged(move) for move in moves]
        for index, answer in zip(ended, read, strict=True):
            end = float(np.logaddexp.reduce([self._score(answer, token) for token in ends]))
            merged[index] = replace(merged[index], logprobs=(*moves[index].logprobs[:-1], end))
        return merged

    def _greedy(self, move: Generated) -> Generated:
        """The same up to where all end tokens together are likelier than the likeliest token."""
        length = len(move.token_ids)
        token_ids = self._merged(move).token_ids
        if len(self.asks.end_ids) > 1:
            for place, own in enumerate(move.logprobs):
                ends = [self._score(move, token, place) for token in self.asks.end_ids]
                if np.logaddexp.reduce(ends) >= own:
                    length, token_ids = place + 1, (*token_ids[:place], self.asks.end_ids[0])
                    break
        return Generated(token_ids, (0.0,) * length)

    def _merged(self, move: Generated) -> Generated:
        return replace(move, token_ids=tuple(map(self._symbol, move.token_ids)))

    def _symbol(self, token: int) -> int:
        return self.asks.end_ids[0] if token in self.asks.end_ids else token

    def _place(self, request: WriteRequest, move: Generated, number: int) -> int | None:
        """Where the alternative of this number parts from the move, or None without one."""
        if not request.alternative or self.asks.sampling.temperature == 0:
            return None
        if self.asks.sampling.top_p < 1:
            raise UserError(
                f"model.sampling.top_p is {self.asks.sampling.top_p}, under which vLLM can't draw another "
                "token from the same distribution: set 1.0, or leave model.team.engine out."
            )
        which = _of(number)
        draws = self.draws.of_sample(request.sample)
        uniform = draws.uniform(request.problem_id, request.branch, request.turn, "parting", *which)
        return parting(move.logprobs, uniform)

    def _others(
        self, parted: Sequence[tuple[WriteRequest, Generated, int, int]]
    ) -> list[tuple[tuple[int, ...], float]]:
        """The starts of the alternatives, up to and with the first token that differs, and their nats."""
        answers = self._played([self._another(*one) for one in parted])
        starts = []
        for (request, move, place, _), answer in zip(parted, answers, strict=True):
            token = self._symbol(answer.token_ids[0])
            if token == move.token_ids[place]:
                raise UserError(
                    f"a vLLM server draws token {token} on problem {request.problem_id}, which is forbidden "
                    "there: start vLLM 0.32 or later, without logits processors of its own."
                )
            before, taken = math.fsum(move.logprobs[:place]), move.logprobs[place]
            # the server's is given that the taken one is forbidden
            logprob = before + math.log(-math.expm1(taken)) + answer.logprobs[0]
            if len(self.asks.end_ids) > 1 and token == self.asks.end_ids[0]:
                logprob = math.nan  # of one end token, where the symbol is several
            starts.append(((*move.token_ids[:place], token), logprob))
        return starts

    def _another(
        self, request: WriteRequest, move: Generated, place: int, number: int
    ) -> tuple[WriteRequest, tuple[int, ...], Params]:
        before = (*request.forced, *move.token_ids[:place])
        params = self.asks.another(
            move.token_ids[place], not before, self._seed(request, "another", *_of(number))
        )
        return request, (*request.prefix, *before), params

    def _played(
        self, asked: Sequence[tuple[WriteRequest | ChooseRequest, tuple[int, ...], Params]]
    ) -> list[Generated]:
        jobs = [
            Job(request.agent, request.problem_id, token_ids, params) for request, token_ids, params in asked
        ]
        return self.session.play(jobs)

    def _score(self, answer: Generated, token: int, place: int = 0) -> float:
        if token not in answer.told[place]:
            raise UserError(
                f"a vLLM server leaves out the log-probability of token {token} that it was asked for: start "
                "vLLM 0.32 or later, with --max-logprobs of at least 20."
            )
        return answer.told[place][token]

    def _key(self, request: WriteRequest | ChooseRequest, *further: str | int) -> int:
        draws = self.draws.of_sample(request.sample)
        return draws.key(request.problem_id, request.branch, request.turn, *further)

    def _seed(self, request: WriteRequest, *further: str | int) -> int:
        """Of a request: 63 bits, which is what torch's generators take."""
        return self._key(request, "server", *further) >> 1


def _of(number: int) -> tuple[int, ...]:
    """What names the draws of an alternative, from 0; the first one's are the move's own."""
    return (number,) if number else ()
