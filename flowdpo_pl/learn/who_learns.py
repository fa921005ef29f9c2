"""Which of a flow's agents learn, and how each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.learner import Learning
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.play.team import Team
from flowdpo_pl.types import Agent


def learning_by_agent(
    flow: Flow, learning: Learning, agent_learning: Mapping[str, Learning]
) -> dict[Agent, Learning]:
    """`learning` for each of the flow's agents that has no own.

    Raises:
        UserError: `model.agent_learning` names an agent that the flow doesn't have.
    """
    flow.require_known("model.agent_learning", agent_learning)
    return {agent: agent_learning.get(agent, learning) for agent in flow.agents}


def learners(team: Team, frozen: Sequence[str]) -> tuple[Agent, ...]:
    """The agents that have an adapter and aren't frozen.

    Raises:
        UserError: `model.frozen` names an agent that the flow doesn't have, or all that have an adapter.
    """
    team.flow.require_known("model.frozen", frozen)
    learning = tuple(agent for agent in team.adapted if agent not in frozen)
    if not learning:
        raise UserError(f"model.frozen names all of {list(team.adapted)}: leave one agent to learn.")
    return learning
