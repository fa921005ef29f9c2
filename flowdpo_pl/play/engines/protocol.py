"""What rollouts ask of an engine: moves for requests, nothing else.

An engine owns decoding and its caches. It sees token ids only, so rollouts run unchanged on the
native engine, on a server, or on scripted moves in a test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Agent


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Write a move of at most `max_tokens` tokens after `prefix`."""

    agent: Agent
    problem_id: str
    branch: str
    """Name of the path: empty for the main chain."""
    turn: int
    """Number of the move on its path; (sample, problem, branch, turn, token position) names every draw."""
    prefix: tuple[int, ...]
    max_tokens: int
    forced: tuple[int, ...] = ()
    """First tokens of the move, already drawn (the start of an alternative)."""
    avoid: int | None = None
    """The token that may not follow `forced`: how a further alternative begins."""
    alternative: bool = False
    """Also draw the start of a different move from the same policy, without rejection."""
    further: int = 0
    """With an alternative: how many more of these, independent of it and of one another."""
    sample: int = 0
    """Number of the tree that the path is in, where a problem has several."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How another move begins, whose rest is still to be drawn."""

    token_ids: tuple[int, ...]
    """That it begins with."""
    avoid: int | None
    """The token that may not follow; None where it has parted from the move already."""
    logprob: float
    """Under the sampled distribution, in nats: of these tokens, and that none to avoid follows."""


@dataclass(frozen=True, slots=True)
class Written:
    """A written move: `forced` and what followed, ended by the end token or by length."""

    token_ids: tuple[int, ...]
    logprob: float
    """Under the sampled distribution, in nats, of the tokens that were drawn here (not the forced ones)."""
    other: tuple[int, ...] | None = None
    """The start of the alternative, up to and with its first differing token; None if there is none."""
    other_logprob: float = float("nan")
    """Under the sampled distribution, in nats, of the tokens of `other`."""
    further: tuple[Beginning, ...] = ()
    """Of the further alternatives; none where `other` is None."""


@dataclass(frozen=True, slots=True)
class ChooseRequest:
    """Choose one of `options` (token ids) after `prefix` + `suffix`; the suffix is thrown away afterwards."""

    agent: Agent
    problem_id: str
    branch: str
    turn: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    options: tuple[int, ...]
    further: int = 0
    """How many more alternatives, each drawn from the options that are left."""
    sample: int = 0
    """As a `WriteRequest`'s."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """An option drawn from the softmax over the options at one position."""

    option: int
    logprob: float
    mass: float
    """Probability that the full softmax leaves to all options together."""
    other: int | None = None
    """The alternative, drawn from the rest; None if nothing else could be drawn."""
    other_logprob: float = float("nan")
    further: tuple[tuple[int, float], ...] = ()
    """More of them with their log-probabilities, one after another from what is left."""


def require_numbers(request: WriteRequest | ChooseRequest, numbers: Iterable[float]) -> None:
    """Refuse what was drawn from logits that are no numbers, given its log-probabilities.

    Raises:
        UserError: one of them is NaN; names agent and problem.
    """
    if any(map(math.isnan, numbers)):
        raise UserError(
            f"agent '{request.agent}' computes logits that are not finite on problem {request.problem_id}: "
            "its adapter or the base holds NaN, or float16 overflows: use an earlier checkpoint, or set "
            "model.team.base.dtype bfloat16."
        )


class Engine(Protocol):
    """Decodes for named agents. Results come in the order of the requests."""

    def write(self, requests: Sequence[WriteRequest]) -> list[Written]: ...

    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]: ...

    def playing(self) -> AbstractContextManager[None]:
        """While one batch of trees grows: by the agents as they are when it begins.

        Nothing that is cached meanwhile is used after it.

        Raises:
            UserError: what was played is not theirs.
        """
        ...
