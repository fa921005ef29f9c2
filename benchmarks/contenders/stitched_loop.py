"""The loop one writes today around `generate`: main chains in lockstep, then node after node its other moves.

Problems share each batch, but what could be played at the same time is played one after another.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowdpo_pl.play.engines.protocol import ChooseRequest, Engine, WriteRequest
from flowdpo_pl.play.flow import Choose, Flow, Write
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.play.rollouts import Judge
from flowdpo_pl.types import Move, Problem

Path = list[Move]


class StitchedLoop:
    """Plays whole trees, one step of the flow at a time."""

    def __init__(self, flow: Flow, prompts: PromptBook, engine: Engine, judge: Judge) -> None:
        self.flow = flow
        self.prompts = prompts
        self.engine = engine
        self.judge = judge

    def play(self, problems: Sequence[Problem]) -> int:
        """Main chains and one alternative to every move; the number of alternatives."""
        mains: list[Path] = [[] for _ in problems]
        self._finish(problems, mains)
        alternatives = 0
        for node in range(self.flow.max_moves):
            long = [index for index, main in enumerate(mains) if len(main) > node]
            forked = [problems[index] for index in long]
            paths = [mains[index][:node] for index in long]
            taken = [mains[index][node] for index in long]
            others = self._others(forked, paths, taken)
            kept = [k for k, other in enumerate(others) if other != taken[k]]
            branches = [[*paths[k], others[k]] for k in kept]
            self._finish([forked[k] for k in kept], branches)
            alternatives += len(kept)
        return alternatives

    def _finish(self, problems: Sequence[Problem], paths: Sequence[Path]) -> None:
        """Play all paths to their ends, in place, and judge them."""
        live = list(range(len(paths)))
        while live := [index for index in live if self.flow.turn(paths[index]) is not None]:
            choosing = [i for i in live if isinstance(self.flow.turn(paths[i]), Choose)]
            now = choosing or live
            for index, move in zip(
                now, self._moves([problems[i] for i in now], [paths[i] for i in now]), strict=True
            ):
                paths[index].append(move)
        verdicts = [
            self.judge.submit(self.prompts.answer(path), problem)
            for problem, path in zip(problems, paths, strict=True)
        ]
        for verdict in verdicts:
            verdict.result()

    def _others(self, problems: Sequence[Problem], paths: Sequence[Path], taken: Sequence[Move]) -> Path:
        """A different move at each path's end: the other choice, or a chunk redrawn until it differs."""
        others = list(taken)
        for _ in range(8):
            same = [k for k, other in enumerate(others) if other == taken[k]]
            if not same:
                break
            if taken[same[0]].option is not None:
                for k in same:
                    option = 1 - (taken[k].option or 0)
                    others[k] = Move(
                        taken[k].agent, (self.prompts.options(taken[k].agent)[option],), "", option=option
                    )
                break
            redrawn = self._moves([problems[k] for k in same], [paths[k] for k in same])
            for k, move in zip(same, redrawn, strict=True):
                others[k] = move
        return others

    def _moves(self, problems: Sequence[Problem], paths: Sequence[Path]) -> list[Move]:
        """The next move of every path; all paths are at the same kind of turn."""
        turns = [self.flow.turn(path) for path in paths]
        contexts = [
            self.prompts.context(turn.agent, problem, path)
            for turn, problem, path in zip(turns, problems, paths, strict=True)
            if turn is not None
        ]
        if isinstance(turns[0], Choose):
            choices = [
                ChooseRequest(
                    turn.agent, problem.id, "", len(path), context.prefix, context.suffix,
                    self.prompts.options(turn.agent),
                )
                for turn, problem, path, context in zip(turns, problems, paths, contexts, strict=True)
                if turn is not None
            ]  # fmt: skip
            return [
                Move(request.agent, (request.options[chosen.option],), "", option=chosen.option)
                for request, chosen in zip(choices, self.engine.choose(choices), strict=True)
            ]
        chunks = [
            WriteRequest(turn.agent, problem.id, "", len(path), context.prefix, turn.max_tokens)
            for turn, problem, path, context in zip(turns, problems, paths, contexts, strict=True)
            if isinstance(turn, Write)
        ]
        return [
            Move(request.agent, written.token_ids, "")
            for request, written in zip(chunks, self.engine.write(chunks), strict=True)
        ]
