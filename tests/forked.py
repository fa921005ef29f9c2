"""Steps of a page, one process each: forked from one that has imported the libraries, once for all pages.

`python -m tests.forked` reads lines of JSON, `folder`, `log` and `steps`, and answers each with `done`, or
`failed` at the first step that does not end with 0. What was printed is in the log.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.exit_status import exit_status

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "lightning.pytorch",
    "datasets",
    "matplotlib.pyplot",
    "flowdpo_pl.cli",
)


def act(step: dict[str, Any]) -> None:
    """As Python itself would be started for it."""
    if "code" in step:
        sys.argv = ["-c"]
        exec(compile(step["code"], "snippet", "exec"), {"__name__": "__main__"})
        return
    given: list[str] = step["words"]
    while "=" in given[0]:
        name, _, value = given.pop(0).partition("=")
        os.environ[name] = value
    python, *rest = given
    assert python.endswith("python"), f"{python} is not run here: say `not run` above it"
    if rest[0] == "-m":
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")


def in_a_process(step: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = exit_status(lambda: act(step))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def played(folder: str, steps: list[dict[str, Any]]) -> int:
    """The first status that isn't 0, of steps in a folder."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    for step in steps:
        if "file" in step:
            path = Path(step["file"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step["text"], encoding="utf-8")
            continue
        print("$", *step.get("words", ["python"]), flush=True)
        if status := in_a_process(step):
            print(f"ended with status {status}", flush=True)
            return status
    return 0


def main() -> None:
    for name in HEAVY:
        import_module(name)
    for line in sys.stdin:
        page = json.loads(line)
        child = os.fork()
        if not child:
            log = os.open(page["log"], os.O_WRONLY | os.O_CREAT)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os._exit(played(page["folder"], page["steps"]))
        status = os.waitpid(child, 0)[1]
        print("failed" if status else "done", flush=True)


if __name__ == "__main__":
    main()
