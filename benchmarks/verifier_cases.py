"""Compares the verifier with labelled cases of other projects, with math-verify alone, with labelled traces.

`python -m benchmarks.verifier_cases --data DATA` prints the table of docs/verifier.md (the cases
that the verifier decides otherwise than labelled), then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowdpo_pl.verify.math_verifier import MathVerifier

REASONS = {
    "answer_only_after_reasoning_marker": "refused there for want of reasoning tags; here none are needed",
    "newline_inside_inline_math": "only LaTeX is read there, and a line break ends it; here a number counts",
    "non_strict_variables": "variables may be renamed there; here x is not y",
    "order_sensitive_lists": "lists are compared in order there; here, as by math-verify, as sets",
    "percent_times_100": "0.75 equals 75 there; here only with a percent sign",
    "tolerance_1e-3": "equal within 0.1 % there; here to 6 decimals",
}


def read_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def math_verify_alone(prediction: object, gold: object) -> bool:
    """math-verify's verdict with its default settings on the two texts as they stand."""
    from math_verify import parse, verify

    return bool(verify(parse(str(gold)), parse(str(prediction))))


def table_row(case: dict[str, Any], alone: bool) -> str:
    cells = [f"`{case[key]}`".replace("\n", "\\n") for key in ("id", "gold", "prediction")]
    reasons = [REASONS.get(name, name) for name in case["convention"]] or [case.get("note", "none given")]
    labels = [str(case["expected"]).lower(), str(alone).lower()]
    return (
        "| " + " | ".join([cell.replace("|", "\\|") for cell in cells] + labels + ["; ".join(reasons)]) + " |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with verifier_cases/ and traces/")
    data: Path = parser.parse_args().data

    cases = [row for path in sorted((data / "verifier_cases").glob("*.jsonl")) for row in read_rows(path)]
    cases = [case for case in cases if "expected" in case]  # not the facts about extraction
    faults = read_rows(data / "fault_cases" / "verifier.jsonl")
    traces = read_rows(data / "traces" / "openai_gsm8k_solutions_1000.jsonl")
    with MathVerifier() as verifier:
        started = time.perf_counter()
        verdicts = verifier([(case["prediction"], case["gold"]) for case in cases])
        case_seconds = time.perf_counter() - started
        notations = verifier([(fault["prediction"], fault["gold"]) for fault in faults])
        started = time.perf_counter()
        labels = verifier([(trace["response"], trace["gold"]) for trace in traces])
        trace_seconds = time.perf_counter() - started
        counts = asdict(verifier.counts)

    alone = [math_verify_alone(case["prediction"], case["gold"]) for case in cases]
    print("| case | gold | prediction | label | math-verify alone | why the verdict differs from the label |")
    print("|---|---|---|---|---|---|")
    for case, verdict, other in zip(cases, verdicts, alone, strict=True):
        if verdict.correct != case["expected"]:
            print(table_row(case, other))
    print(
        json.dumps(
            {
                "cases": len(cases),
                "agree": sum(v.correct == c["expected"] for v, c in zip(verdicts, cases, strict=True)),
                "math_verify_agrees": sum(a == c["expected"] for a, c in zip(alone, cases, strict=True)),
                "lost": [
                    case["id"]
                    for case, verdict, other in zip(cases, verdicts, alone, strict=True)
                    if other == case["expected"] != verdict.correct
                ],
                "case_seconds": round(case_seconds, 2),
                "faults": len(faults),
                "faults_agree": sum(
                    v.correct == f["expected"] for v, f in zip(notations, faults, strict=True)
                ),
                "traces": len(traces),
                "traces_agree": sum(v.correct == t["correct"] for v, t in zip(labels, traces, strict=True)),
                "trace_seconds": round(trace_seconds, 3),
                "counts": counts,
            }
        )
    )


if __name__ == "__main__":
    main()
