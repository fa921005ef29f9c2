"""What a batch takes, counted in trees that were played."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from flowdpo_pl.draws import Draws
from flowdpo_pl.learn.losses import SigmoidLoss
from flowdpo_pl.learn.packing import pack
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.plan.made_trees import made_tree
from flowdpo_pl.plan.sketched_prompts import PromptShape, SketchedPrompts
from flowdpo_pl.plan.workload import counted
from flowdpo_pl.play.engines.protocol import ChooseRequest, WriteRequest
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER, FINISHED, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import Problem, RolloutTree, Verdict
from tests.fakes import END, LastWordJudge, ScriptedEngine, WordTokenizer

FLOW = AnswerStopFlow(3, 3)
LEARNERS = {ANSWER: SigmoidLoss(), STOP: SigmoidLoss()}
PROMPTS = {
    ANSWER: AgentPrompt("solve {question}"),
    STOP: AgentPrompt("solve {question} so far {partial} finished?", options=("Yes", "No")),
}


def full_trees(book: PromptBook, tokenizer: WordTokenizer, problems: int) -> list[RolloutTree]:
    """Every chunk is full, Stop never stops of itself, and every fork is made a pair."""
    on, off = tokenizer.ids("on off")
    written = count()

    def write(request: WriteRequest) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        rest = tuple(
            tokenizer.id(f"w{next(written)}") for _ in range(request.max_tokens - len(request.forced))
        )
        if request.branch == "" and request.alternative:
            rest = (on, *rest[1:])
        return request.forced + rest, (off,) if request.alternative else None

    def choose(request: ChooseRequest) -> int:
        return 1 - FINISHED

    engine = ScriptedEngine(write, choose)
    rollouts = Rollouts(book, engine, LastWordJudge(), Draws(0))
    played = rollouts.play([Problem(str(n), "six", "6") for n in range(problems)], NodeAlternatives())
    right = Verdict(True)
    return [
        replace(tree, forks=tuple(replace(f, branch=replace(f.branch, verdict=right)) for f in tree.forks))
        for tree in played.trees
    ]


def test_full_trees_take_what_the_rules_say_at_most() -> None:
    tokenizer = WordTokenizer()
    book = PromptBook(FLOW, PROMPTS, tokenizer, (END,))  # type: ignore[arg-type]
    trees = full_trees(book, tokenizer, 4)
    shapes = {
        agent: PromptShape(tuple(map(len, book.around(agent, trees[0].problem))), book.spliced(agent))
        for agent in LEARNERS
    }
    made = made_tree(FLOW, NodeAlternatives())
    assert counted([made], SketchedPrompts(FLOW, shapes), LEARNERS).times(4, 4) == counted(
        trees, book, LEARNERS
    )


def test_only_pairs_are_learnt_from() -> None:
    tokenizer = WordTokenizer()
    book = PromptBook(FLOW, PROMPTS, tokenizer, (END,))  # type: ignore[arg-type]
    trees = full_trees(book, tokenizer, 2)
    wrong = Verdict(False)
    tied = replace(
        trees[0],
        forks=tuple(replace(f, branch=replace(f.branch, verdict=wrong)) for f in trees[0].forks),
    )
    found = counted([tied, trees[1]], book, {STOP: SigmoidLoss()})
    packed = pack(mine([trees[1]]).of(STOP), book)
    assert found.packed_tokens == sum(map(len, packed)) and found.scored_tokens == 0
