import gzip
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.answers import quick_verdict, read_answer
from flowdpo_pl.verify.counts import VerifierCounts
from flowdpo_pl.verify.math_verifier import MATH_WORKER, MarkedAnswerVerifier, MathVerifier, question_of
from flowdpo_pl.verify.pool import WorkerLimits, WorkerPool
from flowdpo_pl.verify.readable import check_gold

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is absent")

ENDLESS = "9**9**9**9"


@pytest.fixture(scope="module")
def verifier():
    with MathVerifier() as verifier:
        yield verifier


def rows(*names: str) -> list[dict]:
    found = []
    for name in names:
        for path in sorted(DATA.glob(name)):
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rt") as lines:
                found += [json.loads(line) for line in lines]
    return found


def children() -> set[int]:
    """This process's worker processes, dead ones that nobody waited for included."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_text()
            except OSError:  # gone meanwhile
                continue
            if parent == os.getpid() and (not command or "flowdpo_pl/verify/worker.py" in command):
                found.add(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("prediction", "gold", "correct"),
    [
        ("The answer is 42.", "42", True),
        ("2 + 2 = 4, so there are 4 apples", "4", True),
        (r"\boxed{\frac{1}{2}}", "0.5", True),
        (0.5, r"\frac{1}{2}", True),
        (r"\boxed{1} and \boxed{2}", "2", False),
        (r"\boxed{1} and \boxed{2}", r"\{1, 2\}", True),
        ("The answer is x^3 + 2x + 1", "x^2 + 2x + 1", False),
        ("The answer is 5 m/s.", "5", True),
        ("The answer is 5 apples.", "5", True),
        ("There are 3 doors. The answer is east.", r"\text{East}", True),
        ("50%", "0.5", True),
        ("50%", "50", True),
        ("033", "33", True),
        ("1,22", "1.22", True),
        ("-2,1", "1,-2", True),
        ("The answer is 6. </think> The answer is 7.", "6", False),
        ("", "5", False),
        (None, "5", False),
    ],
)
def test_judges(verifier: MathVerifier, prediction: object, gold: object, correct: bool) -> None:
    verdict = verifier(prediction, gold)
    assert (verdict.correct, verdict.error) == (correct, None)


def test_says_what_it_read(verifier: MathVerifier) -> None:
    assert verifier("The answer is 42.", "42") == Verdict(True, "42")
    assert verifier("12 apples and 3 pears", "15").extracted == "3"
    assert verifier("", "15").extracted is None


@pytest.mark.parametrize("gold", ["", None, "I do not know"])
def test_without_a_gold_answer_there_is_an_error(verifier: MathVerifier, gold: object) -> None:
    verdict = verifier("42", gold)
    assert not verdict.correct
    assert verdict.error is not None and "gold answer" in verdict.error


def test_a_batch_keeps_its_order() -> None:
    # Even answers are decided at once, odd ones in the two workers.
    batch = [(f"{n}" if n % 2 == 0 else f"{n}/1", str(n - n % 3 // 2)) for n in range(60)]
    with MathVerifier(workers=2) as verifier:
        assert [verdict.correct for verdict in verifier(batch)] == [n % 3 < 2 for n in range(60)]
        assert verifier.counts == VerifierCounts(judged=60, fast=30)
        assert verifier([]) == []


def test_a_batch_is_not_a_string(verifier: MathVerifier) -> None:
    with pytest.raises(TypeError, match="pairs"):
        verifier("42")  # type: ignore[call-overload]


def test_an_endless_answer_is_killed_and_the_next_is_judged() -> None:
    before = children()
    with MathVerifier(timeout=2) as verifier:
        verdicts = verifier([("1/2", "0.5"), (ENDLESS, "5"), ("1/2", "0.5"), ("1/3", "0.5"), ("7", "7")])
        assert [verdict.correct for verdict in verdicts] == [True, False, True, False, True]
        assert [verdict.error for verdict in verdicts] == [None, "timeout", None, None, None]
        assert verifier.counts == VerifierCounts(judged=5, fast=1, timeouts=1)
        assert len(children() - before) == 1


def test_a_crash_hurts_no_other_answer() -> None:
    """What a crashed worker was asked is asked once more; here it takes too long then."""
    before = children()
    with MathVerifier(timeout=1) as verifier:
        verifier("1/2", "0.5")  # now the worker runs
        (worker,) = children() - before
        futures = [verifier.compare(answer, "0.5") for answer in (ENDLESS, "1/2", "1/3")]
        while not futures[0].running():
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(worker, signal.SIGSEGV)
        verdicts = [future.result() for future in futures]
        assert [verdict.correct for verdict in verdicts] == [False, True, False]
        assert [verdict.error for verdict in verdicts] == ["timeout", None, None]
        assert verifier.counts == VerifierCounts(judged=4, timeouts=1)
        assert worker not in children()


def test_an_exception_of_sympy_is_an_error_not_a_wrong_answer() -> None:
    with MathVerifier() as verifier:
        verdict = verifier("1:2", "5:0")  # a ratio with zero has no value
        assert verdict.error is not None and verdict.error.startswith("ValueError")
        assert verifier.counts == VerifierCounts(judged=1, errors=1)


def test_memory_is_limited() -> None:
    with MathVerifier(memory_gb=0.01) as verifier, pytest.raises(UserError, match="memory_gb"):
        verifier("1/2", "0.5")


def test_threads_may_submit(verifier: MathVerifier) -> None:
    verdicts: list[Verdict] = []
    submitters = [
        threading.Thread(target=lambda: verdicts.append(verifier.compare("1/4", "0.25").result()))
        for _ in range(4)
    ]
    for thread in submitters:
        thread.start()
    for thread in submitters:
        thread.join()
    assert verdicts == [Verdict(True, "1/4")] * 4


def test_close_leaves_no_process_and_a_later_call_starts_anew() -> None:
    before = children()
    verifier = MathVerifier(workers=2)
    assert verifier("1/2", "0.5").correct
    waiting = [verifier.compare(ENDLESS, "5") for _ in range(5)]
    verifier.close()
    assert children() == before
    assert all(future.cancelled() or not future.result().correct for future in waiting)
    assert verifier("1/2", "0.5").correct
    del verifier
    assert children() == before


def test_the_interpreter_exits_while_an_answer_is_judged() -> None:
    program = """
        from flowdpo_pl.verify.math_verifier import MathVerifier
        verifier = MathVerifier(timeout=600)
        assert verifier("1/2", "0.5").correct
        verifier.compare("9**9**9**9", "5"), verifier.compare("9**9**9**9", "5")
        print(verifier._pool._workers[0]._process.pid)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert not Path("/proc", done.stdout.strip()).exists()


def test_a_forked_process_gets_workers_of_its_own() -> None:
    program = """
        import os, sys
        from flowdpo_pl.verify.math_verifier import MathVerifier
        verifier = MathVerifier()
        assert verifier("1/2", "0.5").correct
        if child := os.fork():
            status = os.waitpid(child, 0)[1]
            sys.exit(status or not verifier("1/3", "2/6").correct)
        sys.exit(not verifier("1/2", "0.5").correct)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60, check=False)
    assert done.returncode == 0


def test_workers_import_neither_torch_nor_lightning(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # the worker lists its imports on standard error
    with MathVerifier() as verifier:
        assert verifier("1/2", "0.5").correct
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in capfd.readouterr().err.splitlines()
    }
    assert {"math_verify", "sympy"} <= imported
    assert not imported & {"torch", "lightning", "transformers", "flowdpo_pl"}


def test_importing_the_verifier_is_light() -> None:
    program = "import sys, flowdpo_pl.verify.math_verifier as _\n"
    program += "print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "lightning", "transformers", "sympy", "math_verify"}


def test_copies_start_anew(verifier: MathVerifier) -> None:
    with pickle.loads(pickle.dumps(MathVerifier(workers=2, timeout=3.0))) as copy:
        assert copy("1/2", "0.5").correct
        assert copy.counts.judged == 1


def test_a_config_can_build_it() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MathVerifier, "verifier")
    built = parser.instantiate_classes(parser.parse_args(["--verifier.timeout=2"])).verifier
    assert built("42", "42").correct


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"timeout": 0.0}, {"memory_gb": -1.0}])
def test_impossible_settings_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(arguments))):
        MathVerifier(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "gold", ["42", r"\frac{1}{2}", "$x^2$", r"\text{east}", 2.5, "125 miles", "It is 5.\n#### 5"]
)
def test_readable_gold_answers_pass(gold: object) -> None:
    check_gold(gold)


@pytest.mark.parametrize("gold", ["", None, "   ", "?", "I do not know"])
def test_an_unreadable_gold_answer_is_named_in_one_sentence(gold: object) -> None:
    with pytest.raises(UserError, match="unreadable: give") as raised:
        check_gold(gold)
    assert repr(gold) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("gold", [float("nan"), "n/a", "see the solution sheet", "12 apples and 3 pears"])
def test_a_gold_that_is_none_is_unreadable(gold: object) -> None:
    with pytest.raises(UserError, match="unreadable"):
        check_gold(gold)


def test_checking_a_gold_computes_nothing() -> None:
    check_gold(ENDLESS)
    check_gold("9" * 300 + "**" + "9" * 100)


def test_numbers_of_a_table_are_exact(verifier: MathVerifier) -> None:
    assert verifier(12345678901234567891, 12345678901234567891).correct
    assert not verifier("12345678901234567890", 12345678901234567891).correct
    assert verifier("100000000000000000000", 1e20).correct
    assert not verifier("0", 1e-07).correct


@needs_data
def test_the_fault_cases(verifier: MathVerifier) -> None:
    cases = rows("fault_cases/verifier.jsonl")
    verdicts = verifier([(case["prediction"], case["gold"]) for case in cases])
    assert [verdict.correct for verdict in verdicts] == [case["expected"] for case in cases]


@needs_data
def test_agrees_with_every_case_that_math_verify_decides_as_expected(verifier: MathVerifier) -> None:
    from math_verify import parse, verify

    cases = [row for row in rows("verifier_cases/*.jsonl") if "expected" in row]
    verdicts = verifier([(case["prediction"], case["gold"]) for case in cases])
    lost = []
    for case, verdict in zip(cases, verdicts, strict=True):
        gold, prediction = (parse(str(case[key]), parsing_timeout=None) for key in ("gold", "prediction"))
        if verify(gold, prediction, timeout_seconds=None) == case["expected"] != verdict.correct:
            lost.append(case["id"])
    assert not lost
    right = [verdict.correct == case["expected"] for case, verdict in zip(cases, verdicts, strict=True)]
    assert sum(right) >= 0.95 * len(cases)  # math-verify alone: 88 %


@needs_data
def test_agrees_with_the_labels_of_real_traces(verifier: MathVerifier) -> None:
    traces = rows("traces/*.jsonl")
    verdicts = verifier([(trace["response"], trace["gold"]) for trace in traces])
    agreeing = [verdict.correct == trace["correct"] for verdict, trace in zip(verdicts, traces, strict=True)]
    assert sum(agreeing) >= 0.99 * len(traces)


@needs_data
def test_solutions_of_data_sets_agree_with_their_own_answers(verifier: MathVerifier) -> None:
    math = [(row["solution"], row["answer"]) for row in rows("math/*.jsonl*")]
    school = [(row["answer"], row["answer"].rpartition("####")[2]) for row in rows("gsm8k/test*.jsonl")]
    for pairs in (math, school):
        verdicts = verifier(pairs)
        assert sum(verdict.correct for verdict in verdicts) >= 0.999 * len(pairs)
        assert not any(verdict.error for verdict in verdicts)


@needs_data
def test_normalisations_of_other_projects_keep_the_answer(verifier: MathVerifier) -> None:
    facts = [row for row in rows("verifier_cases/facts_normalization.jsonl") if row["normalized"]]
    other_rules = {"normalization-002", "normalization-019", "normalization-057"}  # five, HELLO, 4 2
    verdicts = verifier([(fact["raw"], fact["normalized"]) for fact in facts])
    changed = {fact["id"] for fact, verdict in zip(facts, verdicts, strict=True) if not verdict.correct}
    assert changed <= other_rules


NUMBERS = r"""3 3.0 3.5 -3 +3 03 3. $3 \$3 3,000 3000 3{,}000 3000.0 .5 0.5 -.5 1e3 -0 0 000 1e-05 0.00001
3.000009 3.00002 123456789012345 12345678901234.5 $3$ $-3$ -$3 €3"""


def fast_pairs() -> list[tuple[str, str]]:
    numbers = NUMBERS.split()
    pairs = [(one, other) for one in numbers for other in numbers]
    pairs += [(f"The answer is {one}.", other) for one in numbers for other in numbers[:3]]
    pairs += [(rf"\boxed{{{one}}}", other) for one in numbers for other in numbers[:3]]
    math = rows("math/test*.jsonl")
    pairs += [(row["solution"], math[n - 1 - n % 2]["answer"]) for n, row in enumerate(math)]
    pairs += [(row["answer"], row["answer"]) for row in math]
    return pairs + [(row["response"], row["gold"]) for row in rows("traces/*.jsonl")[:200]]


def test_the_fast_path_never_disagrees_with_math_verify() -> None:
    pool = WorkerPool(MATH_WORKER, 2, WorkerLimits(60.0, 1.0), lambda verdict: None)
    slow = []
    for prediction, gold in fast_pairs():
        answer, right = read_answer(prediction), read_answer(gold)
        certain = quick_verdict(answer, right)
        if certain is not None and answer.readings:
            slow.append((prediction, gold, certain, pool.submit(question_of(answer, right))))
    different = [(*pair, certain) for *pair, certain, future in slow if future.result().correct != certain]
    pool.close()
    assert len(slow) > 900
    assert not different


@needs_data
def test_reading_the_box_alone_equals_math_verify_on_the_whole_solution(verifier: MathVerifier) -> None:
    from math_verify import parse, verify

    math = rows("math/test*.jsonl")
    pairs = [(row["solution"], math[n - k]["answer"]) for n, row in enumerate(math) for k in (0, 1)]
    for (solution, answer), verdict in zip(pairs, verifier(pairs), strict=True):
        gold, prediction = parse(f"${answer}$", parsing_timeout=None), parse(solution, parsing_timeout=None)
        assert verify(gold, prediction, timeout_seconds=None) == verdict.correct, (solution, answer)


def test_a_marked_answer_verifier_rewards_no_unfinished_draft() -> None:
    with MathVerifier() as lenient, MarkedAnswerVerifier() as strict:
        draft = "Each is worth 4 coins. They cost 7 * 4"
        assert lenient(draft, "28").correct and not strict(draft, "28").correct
        assert strict(draft + " = 28. The answer is 28.", "28").correct
        assert not strict(draft + " = 28. The answer is 27.", "28").correct
