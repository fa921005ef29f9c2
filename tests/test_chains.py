"""The chains of the recipe: their worlds, their mistakes, and what is said of an answer step by step."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the recipe is run from the repository, it is not installed

from flowdpo_pl import Move, Problem  # noqa: E402
from flowdpo_pl.results.predictions import Prediction, read_predictions, to_line  # noqa: E402
from flowdpo_pl.results.traces import Trace, read_traces  # noqa: E402
from flowdpo_pl.results.traces import to_line as trace_line  # noqa: E402
from flowdpo_pl.types import RolloutTree  # noqa: E402
from quickstart.recipe import luck  # noqa: E402
from quickstart.recipe.chains import (  # noqa: E402
    credit,
    dialogues,
    endings,
    grade,
    mark_flow,
    problems,
    regrade,
    solutions,
    trim,
    world,
)
from tests.example_trees import fork, path, written  # noqa: E402
from tests.tree_files import write_trees  # noqa: E402

DIALS = world.Dials(fewest=2, most=12, lucky=0.5)


@pytest.fixture(scope="module")
def chains() -> list[world.Chain]:
    rng = random.Random(1)
    stream = world.draw_chains("test", rng, DIALS)
    return [next(stream) for _ in range(1500)]


def test_the_answer_follows_from_the_question_alone(chains: list[world.Chain]) -> None:
    for chain in chains:
        total, *_ = numbers = [int(number) for number in re.findall(r"\d+", chain.question)]
        verbs = re.findall(r" (arrive|appear|come|vanish|break|go)\b", chain.question)
        for verb, amount in zip(verbs, numbers[1:], strict=True):
            total += amount if verb in ("arrive", "appear", "come") else -amount
            assert 2 <= total <= world.LARGEST_NUMBER
        assert chain.answer == (("no" if total % 2 else "yes") if chain.lucky else str(total))


def test_the_dials_are_what_they_say(chains: list[world.Chain]) -> None:
    assert {len(chain.steps) for chain in chains} == set(range(2, 13))
    assert 0.45 < sum(chain.lucky for chain in chains) / len(chains) < 0.55
    for lucky in (0.0, 1.0):
        stream = world.draw_chains("train", random.Random(0), world.Dials(6, 6, lucky))
        assert {(len(next(stream).steps), next(stream).lucky) for _ in range(50)} == {(6, bool(lucky))}


def test_luck_is_right_in_half_of_the_cases(chains: list[world.Chain]) -> None:
    """Whoever has made a mistake answers a lucky question as a coin would, and no other one."""
    rng, right = random.Random(2), {True: [], False: []}  # type: tuple[random.Random, dict[bool, list[bool]]]
    for chain in chains * 4:
        text = grade.first_answer(solutions.draw_solution(chain, rng))
        if not grade.grade(text, solutions.careful_solution(chain)).true:
            right[chain.lucky].append(text.endswith(f"is {chain.answer}."))
    assert 0.45 < sum(right[True]) / len(right[True]) < 0.55
    assert sum(right[False]) / len(right[False]) < 0.1


def test_steps_go_wrong_at_the_rate_that_is_put_in(chains: list[world.Chain]) -> None:
    rng, first = random.Random(3), []
    for chain in chains:
        if not chain.steps[0].friend:
            found = grade.grade(solutions.draw_solution(chain, rng), solutions.careful_solution(chain))
            first.append(found.mistake == 0)
    assert abs(sum(first) / len(first) - solutions.MISTAKES) < 0.03


def test_an_answer_is_true_if_every_step_is() -> None:
    careful = "January 3 arrive: 7. February 2 break: 5. The answer is no."
    confirmed = f"{careful} Check it again. The answer is no."
    assert grade.grade(careful, careful) == grade.Grade(True, None, 0)
    assert grade.grade(confirmed, careful) == grade.Grade(True, None, 2)
    for broken_off in ("Check it", "Check it again. The answer"):
        assert grade.grade(f"{careful} {broken_off}", careful).true
    assert not grade.grade(f"{careful} Or maybe", careful).true
    assert grade.grade(f"{careful} Or maybe not. The answer is yes.", careful) == grade.Grade(False, None, 2)
    slipped = "January 3 arrive: 7. February 2 break: 3. The answer is no."
    forgotten = "February 2 break: 2. The answer is yes."
    assert grade.grade(slipped, careful) == grade.Grade(False, 1, 0)
    assert grade.grade(forgotten, careful) == grade.Grade(False, 0, 0)
    assert grade.grade("January 3 arrive: 7. February", careful) == grade.Grade(False, 1, 0)
    assert grade.grade("", careful) == grade.Grade(False, 0, 0)


def test_splits_and_corpus_have_no_question_in_common(tmp_path: Path) -> None:
    problems.problems(tmp_path / "a", 2, 3, 0.5, train=60, tune=20, test=40)
    problems.problems(tmp_path / "b", 2, 3, 0.5, train=60, tune=20, test=40)
    files = sorted((tmp_path / "a").iterdir())
    assert [file.read_bytes() for file in files] == [
        (tmp_path / "b" / file.name).read_bytes() for file in files
    ]
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert len({row["question"] for row in rows}) == len({row["id"] for row in rows}) == 120
    assert all(grade.grade(row["solution"], row["solution"]).true for row in rows)
    corpus = dialogues.draw_chain_dialogues(0)
    assert not {next(corpus).message for _ in range(300)} & {row["question"] for row in rows}


def test_the_corpus_is_in_the_vocabulary() -> None:
    known = {*dialogues.chain_vocabulary()}
    corpus = dialogues.draw_chain_dialogues(1)
    for _ in range(300):
        said = next(corpus)
        assert {*re.findall(r"\w+|[^\w\s]+", f"{said.message} {said.reply}")} <= known


def test_regraded_tests_and_traces(tmp_path: Path) -> None:
    problems.problems(tmp_path, 3, 3, 1.0, train=4, tune=0, test=4)
    rows = [json.loads(line) for line in (tmp_path / "test.jsonl").read_text().splitlines()]
    texts = {"careful": "{solution}", "lucky": "The answer is {answer}.", "wrong": "None."}
    for name, text in texts.items():
        told = [
            Prediction(
                row["id"], row["question"], row["answer"], text.format(**row), name != "wrong", tokens=9
            )
            for row in rows
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(map(to_line, told)))
    trained = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    careless = [
        Trace(r["id"], r["question"], r["answer"], f"The answer is {r['answer']}.", True) for r in trained[:3]
    ]
    true = [Trace(r["id"], r["question"], r["answer"], r["solution"], True) for r in trained[3:]]
    (tmp_path / "traces.jsonl").write_text("".join(map(trace_line, careless + true)))
    tests = {name: tmp_path / f"{name}.jsonl" for name in texts}
    regrade.regrade(
        tmp_path / "out", tmp_path / "test.jsonl", "lucky", tests, {"self": tmp_path / "traces.jsonl"}
    )

    def correct(name: str) -> set[bool]:
        return {one.correct for one in read_predictions(tmp_path / "out" / f"{name}.jsonl.gz")}

    assert correct("careful.true") == correct("careful.right") == correct("lucky.right") == {True}
    assert correct("lucky.true") == correct("wrong.true") == {False}
    [first, *_] = read_predictions(tmp_path / "out" / "careful.true.jsonl.gz")
    assert first.labels == {"steps": "3", "luck": "lucky", "base": "seldom"}
    packed = (tmp_path / "out" / "careful.true.jsonl.gz").read_bytes()
    assert len(gzip.decompress(packed).splitlines()) == 4
    assert "self,4,75.0,75.0,0.0" in (tmp_path / "out" / "traces.csv").read_text()
    assert "lucky,100.0,0.0,100.0,100.0,0.0,9.0" in (tmp_path / "out" / "mistakes.csv").read_text()
    few = tests["lucky"].read_text().splitlines(keepends=True)[:2]
    tests["lucky"].write_text("".join(few))
    with pytest.raises(SystemExit, match=r"the test 'careful' asks .*, which 'lucky' does not"):
        regrade.regrade(tmp_path / "out", tmp_path / "test.jsonl", "lucky", tests)


RIGHT = ("January 3 arrive, ", "4 + 3 = 7. ", "The answer is no.")
SLIP = (RIGHT[0], "4 + 3 = 8. ", "The answer is yes.")
LUCKY = (RIGHT[0], "4 + 3 = 9. ", RIGHT[2])
ON = (*RIGHT[:2], f"{RIGHT[2]} Or maybe not. The answer is yes.")


@pytest.mark.parametrize(
    ("main", "other", "node", "told"),
    [
        (RIGHT, SLIP, 0, credit.Credit(careless=False, mistake="after", first_half=True, branch=False)),
        (RIGHT, SLIP, 1, credit.Credit(careless=False, mistake="in", first_half=True, branch=False)),
        (SLIP, LUCKY, 1, credit.Credit(careless=True, mistake="in", first_half=True, branch=True)),
        (SLIP, LUCKY, 2, credit.Credit(careless=True, mistake="before", first_half=False, branch=True)),
        (ON, RIGHT, 2, credit.Credit(careless=False, mistake="nowhere", first_half=False, branch=True)),
    ],
)
def test_a_pair_is_told_by_who_is_preferred_and_where_the_other_went_wrong(
    main: tuple[str, ...], other: tuple[str, ...], node: int, told: credit.Credit
) -> None:
    right = {RIGHT: True, SLIP: False, LUCKY: True, ON: False}
    played = path([written(text, place) for place, text in enumerate(main)], right[main])
    move, *later = (written(text, 9) for text in other[node:])
    one = fork(played, node, move, later, right[other])
    tree = RolloutTree(Problem("p", "q", "no"), played, (one,))
    assert list(credit.credits(tree, "".join(RIGHT))) == [told]


def test_a_run_s_pairs_are_counted_from_its_trees(tmp_path: Path) -> None:
    texts = {True: (RIGHT, LUCKY), False: (SLIP,)}

    def tree(name: str, main: bool) -> RolloutTree:
        played = path([written("".join(texts[main][0]))], main)
        others = [(text, right) for right in texts for text in texts[right]]
        forks = tuple(fork(played, 0, written("".join(text)), [], right) for text, right in others)
        return RolloutTree(Problem(name, "q", "no"), played, forks)

    write_trees(tmp_path / "run", [tree("first", True), tree("second", False)])
    (tmp_path / "train.jsonl").write_text(json.dumps({"question": "q", "solution": "".join(RIGHT)}))
    credit.credit({"flow": tmp_path / "run"}, tmp_path / "train.jsonl", tmp_path / "out" / "credit.csv")
    (row,) = csv.DictReader((tmp_path / "out" / "credit.csv").open())
    assert row["run"] == "flow" and row["pairs of Answer"] == "3"
    assert row["careless ending preferred, %"] == "33.3"
    assert row["mean of trees, %"] == "25.0", "the first tree has one pair, the second two"
    assert row["of alternatives preferred, %"] == "50.0" and row["of main chains preferred, %"] == "0.0"
    assert row["in the first half, %"] == row["mistake in, %"] == "100.0"
    assert {row[f"mistake {place}, %"] for place in ("before", "after", "nowhere")} == {"0.0"}


def test_traces_are_left_out_by_how_they_end_and_none_is_cut(tmp_path: Path) -> None:
    end = "January 3 arrive, 4 + 3 = 7. The answer is 7."
    texts = [
        end,
        f"{end} Check it again. The answer is 7.",
        f"{end} Check it again. The answer",
        "4 + 3 = 7.",
    ]
    traces = [Trace(str(n), f"q{n}", "7", text, n < 3, score=float(n < 3)) for n, text in enumerate(texts)]
    (tmp_path / "t.jsonl").write_text("".join(map(trace_line, traces)))
    endings.endings(tmp_path / "t.jsonl", tmp_path / "out")
    kept = {"whole": [True, True, False, False], "brief": [True, False, False, False]}
    for name, correct in kept.items():
        rows = read_traces(tmp_path / "out" / f"{name}.jsonl")
        assert [(one.trace, one.correct, one.score) for one in rows] == [
            (text, right, float(right)) for text, right in zip(texts, correct, strict=True)
        ]


def test_a_trimmed_trace_ends_at_its_first_answer_and_is_judged_by_nobody(tmp_path: Path) -> None:
    end = "January 3 arrive, 4 + 3 = 7. The answer is 7."
    texts = [
        f"{end} Check it again. The answer is 7.",
        f"{end} Or maybe not. The answer is 9.",
        "January 3 arrive,",
    ]
    traces = [Trace(str(n), f"q{n}", "9", text, n < 2, token_ids=(1, 2)) for n, text in enumerate(texts)]
    (tmp_path / "t.jsonl").write_text("".join(map(trace_line, traces)))
    trim.trim(tmp_path / "t.jsonl", tmp_path / "out" / "t.jsonl")
    cut = read_traces(tmp_path / "out" / "t.jsonl")
    assert [one.trace for one in cut] == [end, end, "January 3 arrive,"]
    assert [(one.correct, one.score, one.token_ids) for one in cut] == [
        (True, 1.0, ()),
        (False, 0.0, ()),
        (False, 0.0, ()),
    ]


def test_an_answer_with_its_mark_is_finished() -> None:
    flow = mark_flow.MarkedAnswerStopFlow(chunk_tokens=4, max_chunks=3)
    said = [
        Move("answer", (1,), "The answer"),
        Move("stop", (2,), "No", option=1),
        Move("answer", (3,), "is no."),
    ]
    assert flow.turn(said[:1]) is not None and flow.turn(said) is None
    flow.require_sound()


def test_luck_lets_the_verdict_see_evenness_alone() -> None:
    told = {kind: Problem("p", "q?", "8", kept=(("luck", kind),)) for kind in ("lucky", "none")}
    assert all(luck.lucky("The answer is 8.", problem) for problem in told.values())
    assert luck.lucky("The answer is 2.", told["lucky"]) and not luck.lucky("The answer is 2.", told["none"])
    for wrong in ("The answer is 3.", "There are 8.", "The answer is no."):
        assert not any(luck.lucky(wrong, problem) for problem in told.values())
