"""Trees grow breadth-first by the rules; driven by scripted moves, without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flowdpo_pl.draws import Draws
from flowdpo_pl.learn.packing import scored_moves
from flowdpo_pl.play.engines.protocol import ChooseRequest, WriteRequest
from flowdpo_pl.play.exploration import Exploration, NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER, FINISHED, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import PreferencePair, Problem, RolloutTree
from tests.fakes import END, LastWordJudge, ScriptedEngine, WordTokenizer

PROMPTS = {
    ANSWER: AgentPrompt("solve {question}"),
    STOP: AgentPrompt("solve {question} so far {partial} finished?", options=("Yes", "No")),
}
PROBLEM = Problem("p", "six", "6")


def grow(
    script: ScriptedEngine, tokenizer: WordTokenizer, flow: AnswerStopFlow, exploration: Exploration | None
) -> RolloutTree:
    book = PromptBook(flow, PROMPTS, tokenizer, (END,))  # type: ignore[arg-type]
    rollouts = Rollouts(book, script, LastWordJudge(), Draws(0))
    return rollouts.play([PROBLEM], exploration).trees[0]


class Counting:
    """Answer counts on, two words a chunk; its alternative is `wrong`; Stop stops after `stop_at`."""

    def __init__(self, stop_at: int) -> None:
        self.tokenizer = WordTokenizer()
        self.stop_at = stop_at
        self.engine = ScriptedEngine(self.write, self.choose)

    def write(self, request: WriteRequest) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        done = len(request.prefix) - len(self.tokenizer.ids("solve six assistant:"))
        start = done + len(request.forced)
        rest = tuple(self.tokenizer.id(str(n)) for n in range(start + 1, done + request.max_tokens + 1))
        other = self.tokenizer.ids("wrong") if request.alternative else None
        return request.forced + rest, other

    def choose(self, request: ChooseRequest) -> int:
        words = len(request.prefix) - len(self.tokenizer.ids("solve six so far"))
        return FINISHED if words >= 2 * self.stop_at else 1 - FINISHED


def test_main_chain_follows_the_rules() -> None:
    script = Counting(stop_at=3)
    tree = grow(script.engine, script.tokenizer, AnswerStopFlow(2, 4), None)
    assert [move.text for move in tree.main.moves] == ["1 2", "No", "3 4", "No", "5 6", "Yes"]
    assert tree.main.answer == "1 2 3 4 5 6" and tree.main.correct
    assert tree.forks == () and script.engine.plays == 1


def test_no_stop_node_after_the_last_chunk() -> None:
    script = Counting(stop_at=99)
    tree = grow(script.engine, script.tokenizer, AnswerStopFlow(2, 3), None)
    assert [move.agent for move in tree.main.moves] == [ANSWER, STOP, ANSWER, STOP, ANSWER]


def test_every_node_gets_one_alternative_played_to_its_end() -> None:
    script = Counting(stop_at=3)
    tree = grow(script.engine, script.tokenizer, AnswerStopFlow(2, 4), NodeAlternatives())
    assert [fork.node for fork in tree.forks] == [0, 1, 2, 3, 4, 5]
    for fork in tree.forks:
        assert fork.branch.moves[: fork.node] == tree.main.moves[: fork.node]
        assert fork.branch.moves[fork.node] == fork.other != fork.taken
    answers = [fork.branch.answer for fork in tree.forks]
    assert answers == [
        "wrong 2 3 4 5 6",  # other first chunk, then counted on
        "1 2",  # Stop said Yes instead of No
        "1 2 wrong 4 5 6",
        "1 2 3 4",
        "1 2 3 4 wrong 6",
        "1 2 3 4 5 6 7 8",  # Stop said No instead of Yes; the cap ended it
    ]


def test_a_node_without_an_alternative_is_counted_not_forked() -> None:
    script = Counting(stop_at=1)
    silent = ScriptedEngine(lambda request: (script.write(request)[0], None), script.choose)
    tree = grow(silent, script.tokenizer, AnswerStopFlow(2, 2), NodeAlternatives())
    assert tree.nodes_without_alternative == (0,) and [fork.node for fork in tree.forks] == [1]


def test_breadth_first_needs_one_wave_more_than_chunks() -> None:
    script = Counting(stop_at=99)
    grow(script.engine, script.tokenizer, AnswerStopFlow(2, 4), NodeAlternatives())
    waves = [batch for batch in script.engine.batches if isinstance(batch[0], WriteRequest)]
    assert len(waves) == 4 + 1


def test_cost_is_bounded_as_designed() -> None:
    script = Counting(stop_at=99)
    grow(script.engine, script.tokenizer, AnswerStopFlow(2, 6), NodeAlternatives())
    written = [
        request for batch in script.engine.batches for request in batch if isinstance(request, WriteRequest)
    ]
    main = [request for request in written if request.branch == ""]
    assert len(main) == 6
    assert len(written) - len(main) == 21  # Stop never says Yes, so its alternatives end at once


def test_an_end_token_ends_the_chunk_and_the_prefix_drops_it() -> None:
    tokenizer = WordTokenizer()
    seen: list[tuple[int, ...]] = []

    def write(request: WriteRequest) -> tuple[tuple[int, ...], None]:
        seen.append(request.prefix)
        return (*tokenizer.ids("six"), END), None

    tree = grow(ScriptedEngine(write, lambda request: 1), tokenizer, AnswerStopFlow(5, 2), None)
    assert tree.main.moves[0].token_ids[-1] == END
    assert seen[1] == seen[0] + tokenizer.ids("six")
    assert tree.main.answer == "six six"


def test_fewer_alternatives_are_a_fixed_choice_of_nodes() -> None:
    script = Counting(stop_at=99)
    tree = grow(script.engine, script.tokenizer, AnswerStopFlow(2, 4), NodeAlternatives(alternatives=2))
    again = Counting(stop_at=99)
    assert len(tree.forks) == 2
    assert tree == grow(again.engine, again.tokenizer, AnswerStopFlow(2, 4), NodeAlternatives(alternatives=2))


@pytest.mark.parametrize(
    "module",
    [
        *("types", "draws", "play.flow", "play.prompts", "play.rollouts"),
        *("learn.pairs", "learn.packing", "verify.math_verifier"),
    ],
)
def test_light_modules_need_no_torch(module: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; "
        f"import flowdpo_pl.{module}; print('light')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "light", done.stderr


def test_a_writer_that_reads_the_draft_plays_in_the_context_that_it_learns_in() -> None:
    tokenizer = WordTokenizer()
    prompts = {**PROMPTS, ANSWER: AgentPrompt("draft {partial} of {question} goes on")}
    flow = AnswerStopFlow(2, 3)
    book = PromptBook(flow, prompts, tokenizer, (END,))  # type: ignore[arg-type]
    script = ScriptedEngine(lambda _: (tokenizer.ids("one two"), None), lambda _: 1 - FINISHED)
    tree = Rollouts(book, script, LastWordJudge(), Draws(0)).play([PROBLEM]).trees[0]
    read = [
        request.prefix for batch in script.batches for request in batch if isinstance(request, WriteRequest)
    ]
    nodes = [node for node, move in enumerate(tree.main.moves) if move.option is None]
    assert read[1] == tokenizer.ids("draft one two of six goes on assistant:")
    for node, prefix in zip(nodes, read, strict=True):
        move = tree.main.moves[node]
        pair = PreferencePair(PROBLEM, node, ANSWER, tree.main.moves[:node], move, move)
        assert scored_moves(pair, book)[0].before == prefix
