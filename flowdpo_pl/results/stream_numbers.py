"""What one stream of problems comes to as it is played: the numbers of each batch, and their sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import torch

from flowdpo_pl.data.questions import question_key
from flowdpo_pl.distributed import summed
from flowdpo_pl.measure.chooser_confusion import ChooserConfusion, chooser_rates
from flowdpo_pl.measure.chooser_questions import chooser_questions, partial_answer
from flowdpo_pl.measure.judging import FirstChunk, judgements, judging_counts, judging_rates
from flowdpo_pl.measure.memory import peak_memory_bytes
from flowdpo_pl.measure.play_signs import play_signs
from flowdpo_pl.measure.progressive_accuracy import ProgressiveAccuracy
from flowdpo_pl.measure.tree_statistics import tree_statistics
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.rollouts import Play
from flowdpo_pl.results.batch_numbers import BatchNumbers, is_summed
from flowdpo_pl.types import Problem, RolloutTree
from flowdpo_pl.verify.verifier import Verifier


class StreamNumbers:
    """Counts the plays of one stream, over all ranks.

    Args:
        accuracy: of the stream so far; counted here.
        chooser: of the latest batch; counted here.
        verifier: judges what an agent that chooses was shown.
        score_margin: endings whose scores differ by no more are ties.
    """

    def __init__(
        self,
        accuracy: ProgressiveAccuracy,
        chooser: ChooserConfusion,
        verifier: Verifier,
        score_margin: float = 0.0,
    ) -> None:
        self.accuracy = accuracy
        self.seen = 0
        """Position in the stream."""
        self.first_chunk = FirstChunk()
        self._chooser = chooser
        self._verifier = verifier
        self._score_margin = score_margin
        self._judging = Counter[str]()
        self._choices: dict[str, float] = {}

    def restart(self) -> None:
        """The stream begins anew."""
        self.accuracy.reset()
        self.seen = 0
        self.first_chunk = FirstChunk()
        self._judging.clear()
        self._choices.clear()

    def add(
        self,
        play: Play,
        trees: Sequence[RolloutTree],
        players: Players,
        unreadable_gold_rate: float,
        number: int = 1,
    ) -> BatchNumbers:
        """Count a play; the batch's numbers as far as playing goes, and the running accuracy.

        The running accuracy is of problems that no update has seen: of pass 1, whatever the `number`.

        Args:
            play: this rank's share of a batch; called on every rank.
            trees: the whole batch's, of all ranks, in the order of the stream.
            players: who played it.
            unreadable_gold_rate: share of the stream's problems without a gold answer.
            number: the pass over the problems, from 1.
        """
        outcomes = self._count_outcomes(trees, first_pass=number == 1)
        choices = self._count_choices(play.trees, players)
        counted = {name: value for name, value in choices.items() if is_summed(name)}
        for name, value in counted.items():
            self._choices[name] = self._choices.get(name, 0.0) + value
        judging = self._count_judging(trees)
        device = players.agents.device
        statistics = tree_statistics(trees, players.flow.agents, self._score_margin)
        nodes = {name: value for name, value in statistics.items() if is_summed(name)}
        signs = play_signs(
            trees,
            players.flow.finishes,
            players.prompts.ended,
            self._verifier.marked,
            self._score_margin,
        )
        (tokens,) = summed([play.generated_tokens], device)
        return BatchNumbers(
            accuracy={name: float(value) for name, value in self.accuracy.compute().items()},
            again={} if number == 1 else {"again/accuracy": sum(outcomes) / len(outcomes)},
            data_pass=float(number),
            chooser=counted,
            chooser_rates=chooser_rates(choices),
            nodes=nodes,
            signs=signs,
            judging={name: float(count) for name, count in judging.items()},
            unjudged={**judging_rates(**judging), "unreadable_gold_rate": unreadable_gold_rate},
            trees={name: value for name, value in statistics.items() if name not in nodes},
            problems=float(len(trees)),
            problems_seen=float(self.seen),
            generated_tokens=tokens,
            generated_tokens_per_second=tokens / play.seconds if play.seconds else 0.0,
            choice_mass=play.choice_mass,
            seconds={"seconds/play": play.seconds, "seconds/score": 0.0, "seconds/update": 0.0},
            peak_memory_bytes=peak_memory_bytes(device),
        )

    def over_all(self, unreadable_gold_rate: float) -> dict[str, float]:
        """What adds up over the plays so far, and its rates; nothing of what was never counted."""
        numbers: dict[str, float] = {}
        if self._choices:
            numbers |= self._choices | chooser_rates(self._choices)
        if self._judging:
            numbers |= {**judging_rates(**self._judging), "unreadable_gold_rate": unreadable_gold_rate}
        return numbers

    def _count_outcomes(self, trees: Sequence[RolloutTree], first_pass: bool) -> list[float]:
        """The scores of the batch's problems."""
        outcomes = [tree.main.score for tree in trees]
        seeds = [_seed(tree.problem) for tree in trees]
        if first_pass:
            groups = torch.tensor([seeds.index(seed) for seed in seeds])
            self.accuracy.update(torch.tensor(outcomes, dtype=torch.float64), groups)
        self.seen += len(outcomes)
        return outcomes

    def _count_choices(self, trees: Sequence[RolloutTree], players: Players) -> dict[str, float]:
        """`ChooserConfusion` of this batch, from this rank's trees: a verifier looks at every draft."""
        judge = partial(partial_answer, self._verifier)
        self._chooser.reset()
        self._chooser.update(
            [chooser_questions(tree, players.flow.finishes, judge, players.prompts.answer) for tree in trees]
        )
        return {name: float(value) for name, value in self._chooser.compute().items()}

    def _count_judging(self, trees: Sequence[RolloutTree]) -> dict[str, int]:
        """`judging_counts` of this batch."""
        answers = [answer for tree in trees for answer in judgements(tree)]
        self.first_chunk.add(answers)
        judging = judging_counts(answer.error for answer in answers)
        self._judging.update(judging)
        return judging


def _seed(problem: Problem) -> str:
    """What the problem shares with the rewrites of its question."""
    return question_key(problem.seed_question) if problem.seed_question else problem.id
