"""How a flow is played when its answers have a given length: who writes, who reads, what becomes a pair.

The flow's own rules are asked with moves that hold no text, so any flow can be planned. Every alternative is
played to its end, and every node with one is taken for a pair: the most that can come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.play.flow import Choose, Flow
from flowdpo_pl.types import Agent, Move, Problem

_QUERIES_AT_ONCE = 128
"""As in model/attention.py: queries of a packed row that share the keys they see."""


@dataclass(frozen=True)
class PromptTokens:
    """What an agent reads around the answer so far, in tokens."""

    before: int
    after: int = 0


@dataclass(frozen=True)
class Wave:
    """Chunks that are written side by side, of one problem."""

    rows: int
    tokens: int
    """A row writes at most."""
    context: int
    """Tokens before the chunk, of the longest row."""


@dataclass(frozen=True)
class PackedShape:
    """The packed tree of one agent on one problem."""

    tokens: int
    scored: int
    """Tokens whose logits over the vocabulary are needed; none of an agent that chooses."""
    seen: tuple[int, ...]
    """Keys that each block of 128 queries sees."""


@dataclass(frozen=True)
class ProblemTokens:
    """What one problem takes."""

    generated: int
    read: int
    """By all agents, outside of writing."""
    cached: int
    """Left in the caches of all agents when the play ends."""
    waves: tuple[Wave, ...]
    trees: Mapping[Agent, PackedShape]
    """What each agent learns from if every node gives a pair; empty without an exploration."""
    pairs: Mapping[Agent, PackedShape]
    """The same if only each agent's deepest node does."""


@dataclass(frozen=True)
class Path:
    """The main chain or what is played beside it."""

    moves: tuple[Move, ...]
    node: int
    """Where it leaves the main chain; 0 for what begins with the problem."""
    wave: int
    """The wave of its first own chunk."""


def problem_tokens(
    flow: Flow, prompts: Mapping[Agent, PromptTokens], exploration: Exploration, most: int
) -> ProblemTokens:
    """One problem whose answers are `most` tokens long, or as much longer as the turn that passes it."""
    main = Path(_played(flow, (), most), 0, 0)
    nodes = exploration.nodes(Draws(0), Problem("", "", ""), flow.max_moves)
    forks = [_fork(flow, main.moves, node, most) for node in sorted(nodes) if node < len(main.moves)]
    further = [main] * exploration.further_paths
    tokens = path_tokens([main, *further, *forks], prompts)
    if not forks:
        one = _one_pair(main, prompts, bool(further))
        return replace(tokens, trees=one, pairs=one)
    turns = _nodes_by_agent(main, forks)
    deepest = {agent: of_agent[-1:] for agent, of_agent in turns.items()}
    return replace(tokens, trees=_trees(main, turns, prompts), pairs=_trees(main, deepest, prompts))


def path_tokens(paths: Sequence[Path], prompts: Mapping[Agent, PromptTokens]) -> ProblemTokens:
    """What playing these paths of one problem takes, the main chain first; nothing is learnt from them."""
    before = sum(prompts[agent].before for agent in {move.agent for path in paths for move in path.moves})
    return ProblemTokens(
        generated=sum(_written(path.moves[path.node :]) for path in paths),
        read=before + sum(_read(path, prompts) for path in paths),
        cached=before + sum(_cached(path, prompts) for path in paths),
        waves=_waves(paths, prompts),
        trees={},
        pairs={},
    )


def supervised_tokens(prompt: int, written: int) -> PackedShape:
    """The packed row of one trace."""
    return _packed(prompt + written, written, [])


def _played(flow: Flow, start: Sequence[Move], most: int) -> tuple[Move, ...]:
    moves = list(start)
    while (turn := flow.turn(moves)) is not None:
        if isinstance(turn, Choose):
            moves.append(_choice(flow, turn.agent, closing=_written(moves) >= most))
        else:
            moves.append(Move(turn.agent, (0,) * min(turn.max_tokens, max(1, most)), ""))
    return tuple(moves)


def _choice(flow: Flow, agent: Agent, closing: bool) -> Move:
    both = [Move(agent, (0,), "", option=option) for option in (0, 1)]
    return next((move for move in both if flow.closes(move) == closing), both[0])


def _fork(flow: Flow, main: Sequence[Move], node: int, most: int) -> Path:
    taken = main[node]
    if taken.option is None:
        other = Move(taken.agent, taken.token_ids, "")
    else:
        other = Move(taken.agent, taken.token_ids, "", option=1 - taken.option)
    return Path(_played(flow, (*main[:node], other), most), node, start_of_fork(main, node))


def start_of_fork(main: Sequence[Move], node: int) -> int:
    """The wave in which an alternative to this move writes for the first time."""
    before = sum(move.option is None for move in main[:node])
    return before + 1 if main[node].option is None else before


def _written(moves: Sequence[Move]) -> int:
    return sum(len(move.token_ids) for move in moves if move.option is None)


def _read(path: Path, prompts: Mapping[Agent, PromptTokens]) -> int:
    """Tokens of the path that go through the model to be read: what an agent has not read or written yet."""
    known: dict[Agent, int] = {}
    tokens = 0
    for number, move in enumerate(path.moves):
        written = _written(path.moves[:number])
        if number >= path.node:
            new = max(0, written - known.get(move.agent, 0))
            tokens += new + prompts[move.agent].after
        known[move.agent] = written + (0 if move.option is not None else len(move.token_ids))
    return tokens


def _cached(path: Path, prompts: Mapping[Agent, PromptTokens]) -> int:
    """Tokens that stay in the caches beside the prompts and what the path shares with the main chain."""
    shared = _written(path.moves[: path.node])
    tokens = 0
    for agent in prompts:
        turns = [n for n, move in enumerate(path.moves) if move.agent == agent and n >= path.node]
        if turns:
            last = path.moves[turns[-1]]
            end = _written(path.moves[: turns[-1]]) + (len(last.token_ids) if last.option is None else 0)
            tokens += max(0, end - shared)
    return tokens


def _waves(paths: Sequence[Path], prompts: Mapping[Agent, PromptTokens]) -> tuple[Wave, ...]:
    rows: Counter[int] = Counter()
    longest: Counter[int] = Counter()
    context: Counter[int] = Counter()
    for path in paths:
        wave = path.wave
        for number, move in enumerate(path.moves):
            if move.option is None and number >= path.node:
                rows[wave] += 1
                longest[wave] = max(longest[wave], len(move.token_ids))
                before = prompts[move.agent].before + _written(path.moves[:number])
                context[wave] = max(context[wave], before)
                wave += 1
    return tuple(Wave(rows[wave], longest[wave], context[wave]) for wave in sorted(rows))


def _nodes_by_agent(main: Path, forks: Sequence[Path]) -> dict[Agent, list[int]]:
    nodes: dict[Agent, list[int]] = {}
    for fork in forks:
        nodes.setdefault(main.moves[fork.node].agent, []).append(fork.node)
    return nodes


def _trees(
    main: Path, nodes: Mapping[Agent, Sequence[int]], prompts: Mapping[Agent, PromptTokens]
) -> dict[Agent, PackedShape]:
    return {agent: _tree(agent, main, of_agent, prompts[agent]) for agent, of_agent in nodes.items()}


def _one_pair(main: Path, prompts: Mapping[Agent, PromptTokens], pairs: bool) -> dict[Agent, PackedShape]:
    """Two whole paths part at their first move."""
    first = main.moves[0].agent
    return {first: _tree(first, main, [0], prompts[first])} if pairs else {}


def _tree(agent: Agent, main: Path, nodes: Sequence[int], prompt: PromptTokens) -> PackedShape:
    deepest = main.moves[nodes[-1]]
    before = prompt.before + _written(main.moves[: nodes[-1]])
    if deepest.option is not None:
        branches = [(prompt.before + _written(main.moves[:node]), prompt.after) for node in nodes[:-1]]
        return _packed(before + prompt.after, 0, branches)
    branches = [
        (prompt.before + _written(main.moves[:node]), len(main.moves[node].token_ids)) for node in nodes
    ]
    scored = 2 * sum(len(main.moves[node].token_ids) for node in nodes)
    return _packed(before + len(deepest.token_ids), scored, branches)


def _packed(trunk: int, scored: int, branches: Sequence[tuple[int, int]]) -> PackedShape:
    """A trunk, and branches as (trunk tokens that they see, own tokens)."""
    segments, start = [(0, 0, trunk)], trunk
    for attached, length in branches:
        segments.append((attached, start, start + length))
        start += length
    return PackedShape(start, scored, blocks_seen(segments))


def blocks_seen(segments: Sequence[tuple[int, int, int]]) -> tuple[int, ...]:
    """Keys that each block of queries sees; segments as (trunk tokens that they see, first, past the last),
    the trunk first."""
    (_, _, trunk), end_of_all = segments[0], segments[-1][2]
    seen = []
    for first in range(0, end_of_all, _QUERIES_AT_ONCE):
        last = min(first + _QUERIES_AT_ONCE, end_of_all)
        inside = [segment for segment in segments if segment[1] < last and segment[2] > first]
        on_trunk = max(min(last, trunk) if begin == 0 else attached for attached, begin, _ in inside)
        own = sum(min(end, last) - begin for _, begin, end in inside if begin)
        seen.append(on_trunk + own)
    return tuple(seen)
