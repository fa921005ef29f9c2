"""What is drawn: certain, babbling, or alike."""

from __future__ import annotations

from flowdpo_pl.measure.course import Course, Stretch
from flowdpo_pl.measure.diagnosis.counts import fork_names, rises
from flowdpo_pl.measure.diagnosis.rule import ALMOST_ALL, ALMOST_NONE, MOST, Told
from flowdpo_pl.types import Tie


def certain_play(course: Course) -> Told:
    """Where every token is all but certain there is nothing to explore, and nothing of what is learnt shows.

    Threshold: 0.01 nats a written token, at which a hundred tokens in a row come out the same way more often
    than not. Text of a fluent model at temperature 1 has 0.1 to 1.
    """
    if course.latest.of("signs/chains") < 20 or course.latest.of("signs/written_tokens") < 200:
        return None
    now, first = (_nats(part) for part in (course.latest, course.stretches[0]))
    if now >= 0.01:
        return None
    if first >= 0.05:
        if rises(course):  # it has become sure of what is right
            return None
        return (
            f"play has become certain ({now:.4f} nats a token, {first:.2f} in the first batch)",
            "a smaller model.learning.lr or a larger beta or tau: the agents have collapsed to one way of "
            "writing",
        )
    return (
        f"play is all but certain ({now:.4f} nats a token), so there is nothing to explore",
        "model.sampling.temperature nearer to 1, and model.sampling.top_p 1",
    )


def babble(course: Course) -> Told:
    """Text that is near to random tokens answers nothing.

    Threshold: 3 nats a token in the first batch, as if one of twenty tokens were drawn at random each time; a
    language model in its language is below 2. And it is almost never right.
    """
    nats = _nats(course.stretches[0]) if course.stretches else 0.0
    endings = course.whole.share("signs/endings_right", "signs/endings")
    if nats < 3 or endings.high >= ALMOST_NONE or course.problems < 20:
        return None
    return (
        f"the base writes next to random text ({nats:.1f} nats a token), and {endings.told} of the "
        "answers are right",
        "another base, the chat template and prompt that it was trained with, or a lower temperature",
    )


def no_alternatives(course: Course) -> Told:
    """A node whose policy leaves nothing else to draw has no fork; of a group, draws repeat the main move.

    Threshold: almost all nodes (or draws) of an agent.
    """
    for agent in course.agents:
        forks, rest = fork_names(agent), _moveless(agent)
        share = course.latest.share_of(course.latest.of(*rest), course.latest.of(*forks, *rest))
        if share.low > ALMOST_ALL:
            return (
                f"{share.told} of the nodes of agent '{agent}' have no alternative",
                "model.sampling.temperature nearer to 1, model.sampling.top_p nearer to 1; at 1 the agent is "
                "certain of its moves, and has nothing left to learn from them",
            )
    return None


def alternatives_alike(course: Course) -> Told:
    """Two moves that read the same differ in tokens alone: a pair of them teaches spelling.

    Threshold: most of the forks of what is written.
    """
    share = course.latest.share("signs/same_text", "signs/written_forks")
    if share.low <= MOST:
        return None
    return (
        f"{share.told} of the written alternatives read the same as the move that they replace",
        "longer chunks (chunk_tokens), a higher temperature, or whole trajectories (model.exploration)",
    )


def _moveless(agent: str) -> list[str]:
    """Of those where there was no other move."""
    return [f"{agent}/ties/{Tie.REPEATED}", f"{agent}/ties/{Tie.NO_ALTERNATIVE}"]


def _nats(part: Stretch) -> float:
    """A written token of the main chains, on average."""
    tokens = part.of("signs/written_tokens")
    return part.of("signs/written_nats") / tokens if tokens else 1.0
