"""What a batch takes, counted in played trees."""

from __future__ import annotations

from dataclasses import replace

from flowdpo_pl.draws import Draws
from flowdpo_pl.learn.packing import pack
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.plan.paths import PromptTokens, problem_tokens
from flowdpo_pl.plan.workload import assumed, counted
from flowdpo_pl.play.engines.protocol import ChooseRequest, WriteRequest
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER, FINISHED, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import Problem, RolloutTree, Verdict
from tests.fakes import END, LastWordJudge, ScriptedEngine, WordTokenizer

FLOW = AnswerStopFlow(3, 3)
LEARNERS = (ANSWER, STOP)
PROMPTS = {
    ANSWER: AgentPrompt("solve {question}"),
    STOP: AgentPrompt("solve {question} so far {partial} finished?", options=("Yes", "No")),
}


def full_trees(book: PromptBook, tokenizer: WordTokenizer, count: int) -> list[RolloutTree]:
    """Every chunk is full, Stop never stops of itself, and every fork is made a pair."""
    word, other = tokenizer.ids("on")[0], tokenizer.ids("off")

    def write(request: WriteRequest) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        rest = (word,) * (request.max_tokens - len(request.forced))
        return request.forced + rest, other if request.alternative else None

    def choose(request: ChooseRequest) -> int:
        return 1 - FINISHED

    engine = ScriptedEngine(write, choose)
    rollouts = Rollouts(FLOW, book, engine, LastWordJudge(), Draws(0))
    played = rollouts.play([Problem(str(n), "six", "6") for n in range(count)], NodeAlternatives())
    right = Verdict(True)
    return [
        replace(tree, forks=tuple(replace(f, branch=replace(f.branch, verdict=right)) for f in tree.forks))
        for tree in played.trees
    ]


def test_full_trees_take_what_the_rules_say_at_most() -> None:
    tokenizer = WordTokenizer()
    book = PromptBook(PROMPTS, tokenizer, (END,))  # type: ignore[arg-type]
    trees = full_trees(book, tokenizer, 4)
    around = {}
    for agent in LEARNERS:
        context = book.context(agent, trees[0].problem, ())
        around[agent] = PromptTokens(len(context.prefix), len(context.suffix))
    tokens = problem_tokens(FLOW, around, NodeAlternatives(), FLOW.max_written_tokens)
    expected = assumed(tokens, 4, {agent: [tokens.trees[agent]] * 4 for agent in LEARNERS})
    found = counted(trees, book, LEARNERS)
    assert (found.size, found.generated, found.read, found.cached, found.waves) == (
        expected.size,
        expected.generated,
        expected.read,
        expected.cached,
        expected.waves,
    )
    assert found.packs[STOP] == expected.packs[STOP]
    # both moves of a node are there in full, but for the last token of what ends there: the trunk's, and
    # each alternative's, which is only predicted
    for own, full in zip(found.packs[ANSWER], expected.packs[ANSWER], strict=True):
        assert own.scored == full.scored and full.tokens - own.tokens == FLOW.max_chunks + 1


def test_only_pairs_are_learnt_from() -> None:
    tokenizer = WordTokenizer()
    book = PromptBook(PROMPTS, tokenizer, (END,))  # type: ignore[arg-type]
    trees = full_trees(book, tokenizer, 2)
    wrong = Verdict(False)
    tied = replace(
        trees[0],
        forks=tuple(replace(f, branch=replace(f.branch, verdict=wrong)) for f in trees[0].forks),
    )
    found = counted([tied, trees[1]], book, (STOP,))
    packed = pack(mine([trees[1]]).of(STOP), book)
    assert found.packed_tokens == sum(map(len, packed)) and found.scored_tokens == 0
