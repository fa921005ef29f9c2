"""`ask` answers as `test` does, and shows it.

Also tests `verbs.asked`, `verbs.flow_screen` and `play.asking`.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from flowdpo_pl.__main__ import main as run_program
from flowdpo_pl.cli import main
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.predictions import Prediction, Vote, told, vote
from flowdpo_pl.types import Move
from flowdpo_pl.verbs.ask import ask
from flowdpo_pl.verbs.asked import questions
from flowdpo_pl.verbs.flow_screen import FlowScreen
from tests.finished_runs import SOURCE, copied
from tests.runs import MODEL, ROOT

QUESTION = "Tom has 3 boxes of 2 plums. How many plums are there now?"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def answers(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("of_test", "of_ask"),
    [
        (["--model.sampling.temperature=0"], {"greedy": True}),
        (["--model.sampling.temperature=0.9", "--model.samples=2"], {"samples": 2}),  # 0.9: the run's own
    ],
)
def test_an_answer_is_the_prediction_that_test_writes(
    of_test: list[str],
    of_ask: dict[str, int],
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = copied(finished_run, tmp_path)
    main(["test", f"--run={run}", f"--data.test.path={SOURCE}", "--data.test.limit=6", *of_test])
    lines = (run / "test" / "predictions.jsonl").read_text().splitlines()
    predicted = [json.loads(line) for line in lines]
    asked = tmp_path / "questions.jsonl"
    asked.write_text(
        "".join(json.dumps({"question": row["question"]}) + "\n" for row in predicted[:: len(lines) // 6])
    )
    capsys.readouterr()
    ask(finished_run, file=asked, json=True, **of_ask)
    same = ("question", "problem_id", "sample", "text", "extracted", "cut", "tokens")
    assert [[row[name] for name in same] for row in answers(capsys)] == [
        [row[name] for name in same] for row in predicted
    ]


def test_the_moves_are_shown_and_nothing_is_written_to_the_run(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(finished_run, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    for words in ([str(run), "--greedy", QUESTION], [str(run), QUESTION, "--json", "--greedy"]):
        monkeypatch.setattr("sys.argv", ["flowdpo_pl", "ask", *words])
        run_program()
    shown = capsys.readouterr().out.splitlines()
    said = json.loads(shown[-1])
    assert shown[0] == QUESTION
    moves = [f"{'chooses ' if one['option'] is not None else ''}{one['text']}" for one in said["moves"]]
    agents = [one["agent"] for one in said["moves"]]
    assert [line.split(maxsplit=1) for line in shown[1 : 1 + len(moves)]] == [
        [agent, words.strip()] for agent, words in zip(agents, moves, strict=True)
    ]
    assert shown[1 + len(moves)].startswith("reads as ")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_run_that_servers_played_is_asked_here_unless_it_is_trusted(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(finished_run, QUESTION, greedy=True, json=True)
    run = copied(finished_run, tmp_path)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    nobody = {"class_path": "flowdpo_pl.VLLM", "init_args": {"servers": ["http://127.0.0.1:9"]}}
    settings["model"]["init_args"]["team"]["engine"] = nobody
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    ask(run, QUESTION, greedy=True, json=True)
    monkeypatch.setenv("FLOWDPO_TRUST", str(run))
    with pytest.raises(UserError, match=r"no vLLM server plays: .*`ask --engine`"):
        ask(run, QUESTION, greedy=True, json=True)
    ask(run, QUESTION, greedy=True, json=True, engine="flowdpo_pl.Native")
    own, here, native = answers(capsys)
    assert own == here == native


def test_another_seed_and_another_base_may_be_given(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(finished_run, tmp_path)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("path: quickstart/model", "path: no/such/model"))
    with pytest.raises(UserError, match=r"no/such/model, is not there .* by --base=BASE"):
        ask(run, QUESTION)
    texts = []
    for seed in (1, 1, 2, 3, 4):
        ask(run, QUESTION, base=str(MODEL), seed=seed, json=True)
        texts.append(str(answers(capsys)[0]["text"]))
    assert texts[0] == texts[1] and len(set(texts)) > 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"greedy": True, "temperature": 1.0}, "--greedy and --temperature are both given"),
        ({"greedy": True, "samples": 3}, "greedy answers are all the same"),
        ({"samples": 0}, "samples is 0: give at least 1"),
        ({"which": "bst"}, "has no adapters 'bst'"),
        ({"file": Path("no/such.txt")}, "a question and --file are both given"),
    ],
)
def test_what_can_t_be_asked_is_said_at_once(
    options: dict[str, object], complaint: str, finished_run: Path
) -> None:
    with pytest.raises(UserError, match=complaint):
        ask(finished_run, QUESTION, **options)  # type: ignore[arg-type]


def test_a_question_that_is_too_long_or_empty_is_refused(finished_run: Path) -> None:
    with pytest.raises(UserError, match="the question is too long for this flow and its model: Tom has"):
        ask(finished_run, QUESTION * 100)
    with pytest.raises(UserError, match="the question is empty"):
        ask(finished_run, " ")


def test_questions_are_lines_of_a_text_objects_of_a_jsonl_or_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, rows = tmp_path / "a.txt", tmp_path / "b.jsonl"
    text.write_text("one?\n\n two? \n")
    rows.write_text('{"question": "one?", "answer": 1}\n\n{"question": "two?"}\n')
    monkeypatch.setattr("sys.stdin", io.StringIO("one?\n\ntwo?\n"))
    assert [list(questions(None, file)) for file in (text, rows, None)] == [["one?", "two?"]] * 3
    for second in ('{"query": "two?"}', "[" * 100_000):
        rows.write_text(f'{{"question": "one?"}}\n{second}\n')
        with pytest.raises(
            UserError, match=r"b\.jsonl, line 2 is no object with a text under the key question"
        ):
            list(questions(None, rows))
    with pytest.raises(UserError, match="does not exist"):
        questions(None, tmp_path / "no.txt")
    text.write_text("\n")
    for none in (text, None):  # standard input has been read
        with pytest.raises(UserError, match="has no question: give one"):
            list(questions(None, none))


def test_no_control_sequence_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    screen = FlowScreen(["x", "y"])
    screen.question("a\x1b[31mb")
    screen.move(Move("x", (1,), "c\x1b]0;d\x07\nnext [bold]line[/bold]"))
    screen.move(Move("y", (1,), "\x9bYes", option=0))
    screen.result("\x1b")
    assert capsys.readouterr().out.splitlines() == [
        "a\\x1b[31mb",
        "x         c\\x1b]0;d\\x07",
        "          next [bold]line[/bold]",
        "y         chooses \\x9bYes",
        "reads as  \\x1b",
    ]


def of(*extracted: str | None) -> list[Prediction]:
    return [
        Prediction("p", "q", "", "t", False, sample=number, extracted=one)
        for number, one in enumerate(extracted)
    ]


@pytest.mark.parametrize(
    ("extracted", "said"),
    [
        (("3", "4", "4.0"), "4: 2 of 3"),
        (("3", "4", None), "3: a tie with 4, 1 of 3 each; the first given is taken"),
        ((None, None), "no answer is read in any of 2"),
    ],
)
def test_a_vote_is_told_with_its_ties(extracted: tuple[str | None, ...], said: str) -> None:
    assert told(vote(of(*extracted)), len(extracted)) == said


def test_the_first_sample_of_the_winning_answer_stands_for_it() -> None:
    samples = of("3", "0.5", "1/2", "2")
    assert vote(samples) == Vote(samples[1], 2, 4)
