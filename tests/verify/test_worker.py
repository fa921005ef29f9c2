"""The worker's program on its own: what it answers, and when it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest

from flowdpo_pl.verify import worker
from flowdpo_pl.verify.worker import describe, judge, parse_readings

STARTED_WITHIN = 60


@contextmanager
def started(seconds: float, memory_gb: float = 1.0) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """A worker that has said it is ready, and our end of its pipe."""
    ours, theirs = Pipe()
    command = [sys.executable, "-P", worker.__file__, str(theirs.fileno()), str(seconds), str(memory_gb)]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL) as process:
        theirs.close()
        try:
            assert ours.poll(STARTED_WITHIN) and ours.recv_bytes() == worker.READY
            yield process, ours
        finally:
            process.kill()


def question(answer: list[str], gold: list[str], **ambiguous: bool) -> dict[str, Any]:
    return {"answer": answer, "gold": gold, "answer_ambiguous": False, "gold_ambiguous": False} | ambiguous


def ask(pipe: Connection, answer: str, gold: str) -> dict[str, Any]:
    pipe.send_bytes(json.dumps(question([answer], [gold])).encode())
    assert pipe.poll(STARTED_WITHIN)
    reply: dict[str, Any] = json.loads(pipe.recv_bytes())
    return reply


def test_a_worker_replies_as_judge_does_and_goes_on_after_an_exception() -> None:
    with started(seconds=60) as (_, pipe):
        for answer, gold in (("$1/2$", "0.5"), ("$1:2$", "$5:0$"), ("$1/3$", "0.5")):
            try:
                expected = judge(question([answer], [gold]))
            except ValueError as failure:
                expected = {"correct": False, "extracted": None, "error": describe(failure)}
            assert ask(pipe, answer, gold) == expected


def test_a_worker_ends_when_its_pipe_is_closed() -> None:
    with started(seconds=60) as (process, pipe):
        pipe.close()
        assert process.wait(STARTED_WITHIN) == 0


def test_a_stuck_worker_ends_itself_by_the_processor_s_time() -> None:
    with started(seconds=0.1) as (process, pipe):
        pipe.send_bytes(json.dumps(question(["9**9**9**9"], ["5"])).encode())
        assert process.wait(STARTED_WITHIN) == -signal.SIGPROF


class TwoQuestions:
    """A pipe's end that asks twice, then closes, and notes which alarms are set while it is waited for."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, float]] = []
        self.replies: list[bytes] = []

    def send_bytes(self, message: bytes) -> None:
        self.replies.append(message)

    def recv_bytes(self) -> bytes:
        self.waiting.append(alarms())
        if len(self.waiting) > 2:
            raise EOFError
        return b"{}"


def alarms() -> tuple[float, float]:
    """Seconds left on the clock and of the processor's time; 0: no alarm is set."""
    return signal.getitimer(signal.ITIMER_REAL)[0], signal.getitimer(signal.ITIMER_PROF)[0]


def test_alarms_are_set_for_an_answer_alone_so_an_idle_worker_lives() -> None:
    pipe = TwoQuestions()
    judging: list[tuple[float, float]] = []

    def judge(question: Any) -> dict[str, Any]:
        judging.append(alarms())
        return {"correct": True}

    worker.serve(pipe, 300.0, judge, 200.0)  # type: ignore[arg-type]
    assert pipe.replies == [worker.READY, *[b'{"correct": true}'] * 2]
    assert pipe.waiting == [(0.0, 0.0)] * 3
    assert len(judging) == 2
    for clock, processor in judging:
        assert 300 < clock < 302 and 199 < processor < 201


def test_a_question_is_judged_once_unless_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Any] = []

    def judge(question: Any) -> dict[str, Any]:
        judged.append(question)
        if question["gold"] == ["?"]:
            raise ValueError(question)
        error = "MemoryError" if question["gold"] == ["9"] else None
        return {"correct": question["answer"] == question["gold"], "error": error}

    right, wrong, raising, failing = (question([a], [b]) for a, b in ("11", "21", "1?", "19"))
    monkeypatch.setattr(worker, "REMEMBERED", 2)
    remembered = worker.remembering(judge)
    assert [remembered(asked)["correct"] for asked in (right, wrong, dict(right), wrong)] == [1, 0, 1, 0]
    assert judged == [right, wrong]
    for _ in range(2):
        with pytest.raises(ValueError):
            remembered(raising)
        assert remembered(failing)["error"] == "MemoryError"
    assert judged[2:] == [raising, failing] * 2
    for asked in (question(["3"], ["1"]), wrong, right):  # the third lets the oldest go
        remembered(asked)
    assert judged[6:] == [question(["3"], ["1"]), right]


def test_ctrl_c_is_the_parent_s_to_handle() -> None:
    with started(seconds=60) as (process, pipe):
        process.send_signal(signal.SIGINT)
        assert ask(pipe, "$1/2$", "0.5")["correct"]


def test_memory_beyond_the_limit_is_an_error_of_the_answer_not_the_end_of_the_worker() -> None:
    program = """
from flowdpo_pl.verify.worker import describe, limit_memory
limit_memory(0.5)
try:
    bytes(2**30)
except MemoryError as failure:
    print(describe(failure), len(bytes(2**20)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MemoryError", str(2**20)]


def test_the_first_reading_that_is_mathematics_counts_and_all_of_an_ambiguous_one() -> None:
    first, both = parse_readings(["$1,22$", "1,22"]), parse_readings(["$1,22$", "1,22"], ambiguous=True)
    assert first == parse_readings(["$1,22$"])
    assert both == [*first, *parse_readings(["1,22"])]
    assert parse_readings(["?", "$3$"])[0] == 3
    assert parse_readings([]) == []


def test_another_reading_may_agree_where_one_cannot_be_compared() -> None:
    assert judge(question(["$1,22$", "1.22"], ["1.22"], answer_ambiguous=True))["correct"]
    assert judge(question(["$1:2$"], ["$5:0$", "$1:2$"], gold_ambiguous=True))["error"] is None


def test_a_gold_answer_without_readings_is_an_error_not_a_wrong_answer() -> None:
    reply = judge(question(["5"], []))
    assert not reply["correct"] and reply["error"] == "the gold answer is unreadable"


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (ValueError("no\nvalue"), "ValueError: no value"),
        (MemoryError(), "MemoryError"),
        (KeyError("x" * 500), "KeyError: '" + "x" * 189),
    ],
)
def test_an_exception_is_one_short_line(failure: Exception, line: str) -> None:
    assert describe(failure) == line


def test_a_number_before_what_the_parser_does_not_know_is_no_answer() -> None:
    assert not judge(question([r"$4\cbrt(2)$"], ["4"]))["correct"]
    assert judge(question([r"$\binom{4}{2}$"], ["6"]))["correct"]
    assert judge(question([r"$90^\circ$"], ["90"]))["correct"]
