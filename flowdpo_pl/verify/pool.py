"""Worker processes that can be killed, each driven by one thread, behind a queue of futures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.worker import READY

STARTUP_SECONDS = 60.0
JOIN_SECONDS = 5.0


Question: TypeAlias = Mapping[str, Any]
"""JSON-able."""


@dataclass(frozen=True, slots=True)
class WorkerProgram:
    """What a worker runs: it says READY, then gives each question a reply, both JSON (`worker.serve`)."""

    words: tuple[str, ...]
    """Of the interpreter's command line; the pipe's descriptor, seconds and gigabytes are put behind them."""
    mend: str
    """What to look at where it does not start."""
    clock: float = 1.0
    """Seconds on the clock for each that an answer may take: more than one where the worker counts those of
    the processor, and ends by SIGPROF when they are over."""
    path: tuple[str, ...] = ()
    """Where its modules are looked for, beside the interpreter's own places."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one worker may use for one answer."""

    seconds: float
    memory_gb: float


class WorkerProcess:
    """One worker, started when needed and replaced after a timeout or a crash.

    `judge` belongs to one thread; `kill` may come from any.
    """

    def __init__(self, program: WorkerProgram, limits: WorkerLimits) -> None:
        self._program = program
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._killed = False

    def judge(self, question: Question) -> Verdict:
        """The worker's verdict, or an error verdict if it took too long or the worker died of it.

        A worker may be killed by somebody else (who wants its memory): then a new one is asked once more.

        Raises UserError if no worker can be started.
        """
        for first in (True, False):
            pipe = self._running()
            try:
                pipe.send_bytes(json.dumps(question).encode())
                if not pipe.poll(self._limits.seconds * self._program.clock):
                    self.kill()
                    return Verdict(False, error="timeout")
                return Verdict(**json.loads(pipe.recv_bytes()))
            except (EOFError, ConnectionError):
                ours, status = self._killed, self.kill()
                if status == -signal.SIGPROF:
                    return Verdict(False, error="timeout")
                if ours or not first:
                    break
        return Verdict(False, error=f"the worker died (exit status {status})")

    def kill(self) -> int | None:
        """Ends the process, if there is one, and waits for it; its exit status, negative for a signal."""
        if self._process is None:
            return None
        self._killed = True
        self._process.kill()
        return self._process.wait()

    def _running(self) -> Connection:
        if self._process is not None and self._pipe is not None and self._process.poll() is None:
            return self._pipe
        if self._pipe is not None:
            self._pipe.close()
        self._killed = False
        self._pipe, theirs = Pipe()
        with theirs:
            arguments = (theirs.fileno(), self._limits.seconds, self._limits.memory_gb)
            # -P: without it the script's folder comes first on the path, and `types` would be ours.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", *self._program.words, *map(str, arguments)],
                env=self._environment(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        try:
            if self._pipe.poll(STARTUP_SECONDS) and self._pipe.recv_bytes() == READY:
                return self._pipe
        except (EOFError, ConnectionError):
            pass  # the worker's own message is on standard error
        raise UserError(
            f"The verifier's worker did not start (exit status {self.kill()}): "
            f"see the message above, {self._program.mend}."
        )

    def _environment(self) -> dict[str, str]:
        """The worker's variables: ours, and hashes that are the same in every worker.

        sympy goes through sets, and in another order an answer may take it minutes instead of seconds.
        """
        path = {"PYTHONPATH": os.pathsep.join(self._program.path)} if self._program.path else {}
        return {**os.environ, "PYTHONHASHSEED": "0", **path}


_Task: TypeAlias = tuple[Question, "Future[Verdict]"]


def _serve(
    tasks: SimpleQueue[_Task | None], worker: WorkerProcess, report: Callable[[Verdict], None]
) -> None:
    while (task := tasks.get()) is not None:
        question, future = task
        if not future.set_running_or_notify_cancel():
            continue
        try:
            verdict = worker.judge(question)
        except BaseException as failure:  # as executors do: the caller gets it, and this thread lives on
            future.set_exception(failure)
        else:
            report(verdict)
            future.set_result(verdict)
    worker.kill()


class WorkerPool:
    """Threads and processes that exist between the first `submit` and `close`; usable again after it.

    Threads are daemons, for the interpreter waits for others before it runs exit handlers.
    """

    def __init__(
        self, program: WorkerProgram, workers: int, limits: WorkerLimits, report: Callable[[Verdict], None]
    ) -> None:
        self._program = program
        self._size = workers
        self._limits = limits
        self._report = report
        self._lock = threading.Lock()
        self._forget()

    def submit(self, question: Question) -> Future[Verdict]:
        """Queues one judgement; the future fails with UserError if no worker can be started."""
        future: Future[Verdict] = Future()
        with self._lock:
            if self._owner != os.getpid():
                self._forget()  # after a fork: threads don't come along, the workers are the parent's
            if not self._threads:
                self._start()
            self._tasks.put((question, future))
        return future

    def close(self) -> None:
        """Cancels what waits, kills the workers and ends the threads."""
        with self._lock:
            tasks, workers, threads = self._tasks, self._workers, self._threads
            ours = self._owner == os.getpid()
            self._forget()
        if not ours:
            return
        try:
            while task := tasks.get_nowait():
                task[1].cancel()
        except Empty:
            pass
        for _ in threads:
            tasks.put(None)
        for worker in workers:
            worker.kill()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_SECONDS)

    def _forget(self) -> None:
        self._owner = os.getpid()
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._workers: list[WorkerProcess] = []
        self._threads: list[threading.Thread] = []

    def _start(self) -> None:
        self._workers = [WorkerProcess(self._program, self._limits) for _ in range(self._size)]
        self._threads = [
            threading.Thread(target=_serve, args=(self._tasks, worker, self._report), daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()
