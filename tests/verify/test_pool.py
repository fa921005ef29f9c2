"""Processes that are killed and replaced, and the futures of what waits for them.

`test_verifier.py` tests the pool too: batches, crashes, forks, the interpreter's exit.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.answers import read_answer
from flowdpo_pl.verify.math_verifier import MATH_WORKER, question_of
from flowdpo_pl.verify.pool import WorkerLimits, WorkerPool, WorkerProcess

TWO_QUARTERS, THIRD, ENDLESS = (
    question_of(read_answer(text), read_answer("1/2")) for text in ("2/4", "1/3", "9**9**9**9")
)
RIGHT, WRONG = Verdict(True, "2/4"), Verdict(False, "1/3")


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(MATH_WORKER, WorkerLimits(seconds=1.0, memory_gb=1.0))
    yield worker
    worker.kill()


def pid(worker: WorkerProcess) -> int:
    assert worker._process is not None
    return worker._process.pid


def test_one_process_serves_until_an_answer_takes_too_long(worker: WorkerProcess) -> None:
    assert worker.judge(TWO_QUARTERS) == RIGHT
    first = pid(worker)
    assert worker.judge(THIRD) == WRONG and pid(worker) == first
    assert worker.judge(ENDLESS) == Verdict(False, error="timeout")
    assert worker.judge(TWO_QUARTERS) == RIGHT and pid(worker) != first


def test_a_kill_from_another_thread_is_an_error_of_the_answer() -> None:
    worker = WorkerProcess(MATH_WORKER, WorkerLimits(seconds=60.0, memory_gb=1.0))
    worker.judge(THIRD)
    threading.Timer(0.5, worker.kill).start()
    assert worker.judge(ENDLESS) == Verdict(False, error="the worker died (exit status -9)")
    worker.kill()


def test_an_answer_whose_worker_somebody_else_has_killed_is_judged_by_another() -> None:
    worker = WorkerProcess(MATH_WORKER, WorkerLimits(seconds=60.0, memory_gb=1.0))
    worker.judge(THIRD)
    first = pid(worker)
    os.kill(first, signal.SIGSTOP)  # it does not answer before it is killed
    threading.Timer(0.2, os.kill, (first, signal.SIGKILL)).start()
    assert worker.judge(TWO_QUARTERS) == RIGHT and pid(worker) != first
    worker.kill()


def test_killing_what_never_started_does_nothing() -> None:
    assert WorkerProcess(MATH_WORKER, WorkerLimits(1.0, 1.0)).kill() is None


def pool(reported: list[Verdict], workers: int = 1, memory_gb: float = 1.0) -> WorkerPool:
    return WorkerPool(MATH_WORKER, workers, WorkerLimits(60.0, memory_gb), reported.append)


def test_every_verdict_is_reported_before_its_future_is_done() -> None:
    reported: list[Verdict] = []
    judges = pool(reported)
    seen: list[int] = []
    futures = [judges.submit(question) for question in (TWO_QUARTERS, THIRD, TWO_QUARTERS)]
    for future in futures:
        future.add_done_callback(lambda _: seen.append(len(reported)))
    assert [future.result() for future in futures] == [RIGHT, WRONG, RIGHT] == reported
    judges.close()
    assert all(count > index for index, count in enumerate(seen)) and len(seen) == 3


def test_a_cancelled_future_is_neither_judged_nor_reported() -> None:
    reported: list[Verdict] = []
    judges = pool(reported)
    futures = [judges.submit(TWO_QUARTERS) for _ in range(3)]  # the worker is still starting
    assert futures[1].cancel()
    assert futures[0].result() == futures[2].result() == RIGHT
    judges.close()
    assert len(reported) == 2


def test_a_worker_that_cannot_start_fails_every_future_and_hangs_none() -> None:
    reported: list[Verdict] = []
    judges = pool(reported, memory_gb=0.01)
    for future in [judges.submit(TWO_QUARTERS) for _ in range(2)]:
        with pytest.raises(UserError, match="did not start"):
            future.result(timeout=60)
    judges.close()
    assert not reported


def test_closing_ends_every_future_and_thread_and_may_be_repeated() -> None:
    before = set(threading.enumerate())
    judges = pool([], workers=2)
    futures = [judges.submit(ENDLESS) for _ in range(5)]
    while not all(worker._process for worker in judges._workers):
        time.sleep(0.01)
    judges.close()
    judges.close()
    assert all(future.done() for future in futures)
    assert all(future.cancelled() for future in futures[2:])
    assert set(threading.enumerate()) == before
    assert judges.submit(TWO_QUARTERS).result() == RIGHT
    judges.close()


def test_a_busy_machine_makes_no_answer_late() -> None:
    worker = WorkerProcess(MATH_WORKER, WorkerLimits(seconds=1.0, memory_gb=1.0))
    worker.judge(THIRD)
    os.kill(pid(worker), signal.SIGSTOP)  # as one that gets no processor
    threading.Timer(1.5, os.kill, (pid(worker), signal.SIGCONT)).start()
    assert worker.judge(TWO_QUARTERS) == RIGHT
    worker.kill()
