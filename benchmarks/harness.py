"""Our GSM8K score and lm-evaluation-harness's: on the same problems and settings, and on the same texts.

First a few texts made to tell the rules apart (the table of docs/evaluation.md). Then both play models
greedily on the same problems; texts and verdicts are compared. Then the harness's filters and our verifier
judge the same 1,000 labelled solutions. Every text of these on which our verdict differs from
flexible-extract's is printed; the last line is JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli
from lightning.pytorch import Trainer

from benchmarks.repeat import report
from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.modules.evaluation_module import EvaluationModule
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.play.flows.answer_stop import ANSWER
from flowdpo_pl.play.flows.single import SingleFlow
from flowdpo_pl.play.prompts import AgentPrompt
from flowdpo_pl.play.team import Team
from flowdpo_pl.results.judged_answers import JudgedAnswers
from flowdpo_pl.results.predictions import Prediction
from flowdpo_pl.verify.math_verifier import MathVerifier

FILTERS = ("strict-match", "flexible-extract")
CASES = (
    ("7 * 4 = 28\n#### 28", "28"),
    ("The answer is 28.", "28"),
    ("They cost $28", "28"),
    ("The answer is 28. That is 4 more than 24.", "28"),
    ("The answer is 24, which is 4 less than 28.", "28"),
    ("The answer is 28.00.", "28"),
    ("The answer is 28...", "28"),
    ("The answer is 1,200 coins.", "1200"),
    ("The answer is 12e2.", "1200"),
    ("The answer is \\frac{1}{2}.", "0.5"),
    ("The answer is 1/2.", "0.5"),
    ("The answer is 50%.", "50"),
    ("So they have 7 groups of 28", "28"),
    ("#### 28\n\nQuestion: How many are 3 + 4?\nAnswer: 7\n#### 7", "28"),
    ("The answer is twenty-eight.", "28"),
)
"""Texts with a gold answer that show where the rules part."""
HARNESS_PROMPT = "Question: {question}\nAnswer:"


@dataclass(frozen=True)
class Played:
    """What both sides play."""

    model: str
    questions: Path
    """jsonl with `question` and `answer`."""
    problems: int
    """From the file's start."""
    max_tokens: int
    prompt: str = HARNESS_PROMPT

    def by_us(self) -> list[Prediction]:
        """Our predictions, by the verb `test`."""
        module = EvaluationModule(
            Team(
                BaseModel(self.model, dtype="float32"),
                {ANSWER: AgentPrompt(self.prompt)},
                SingleFlow(self.max_tokens),
            )
        )
        data = PromptDataModule(test=ProblemSource(str(self.questions), limit=self.problems), batch_size=16)
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        trainer.test(module, data, verbose=False)
        assert isinstance(module.results, JudgedAnswers)
        return module.results.predictions

    def by_the_harness(self, python: str, threads: int) -> list[dict[str, Any]]:
        """Its texts and verdicts."""
        options = [f"--model={self.model}", f"--max_tokens={self.max_tokens}", f"--threads={threads}"]
        prompt = self.prompt.replace("{question}", "{{question}}")
        return scores(python, read(self.questions)[: self.problems], f"--prompt={prompt}", *options)


def harness(
    harness_python: str,
    data: Path,
    model: str = "models/smollm2",
    problems: int = 32,
    threads: int = 2,
) -> None:
    """Compare texts and scores.

    Args:
        harness_python: interpreter of a virtualenv with `lm_eval[hf]`.
        data: folder with gsm8k/, word_problems/ and traces/.
        model: folder of the model that both play on GSM8K and on word problems, in float32.
        problems: of each of the two.
        threads: of torch.
    """
    torch.set_num_threads(threads)
    print_cases(harness_python)
    played = {}
    for name, setting in {
        "gsm8k": Played(model, data / "gsm8k" / "test_first_319.jsonl", problems, 128),
        "word_problems": Played(model, data / "word_problems" / "valid.jsonl", problems, 64),
        "quickstart": Played(
            "quickstart/model", Path("quickstart/problems/valid.jsonl"), 256, 72, "{question}"
        ),
    }.items():
        ours, theirs = setting.by_us(), setting.by_the_harness(harness_python, threads)
        same = sum(a.text == b["text"] for a, b in zip(ours, theirs, strict=True))
        judged = [(p.text, p.gold, p.correct) for p in ours]
        played[name] = {"texts": len(ours), "same_text": same, **agreement(judged, theirs)}

    traces = read(data / "traces" / "openai_gsm8k_solutions_1000.jsonl")
    rows = [
        {"question": t["question"], "answer": f"#### {t['gold']}", "output": t["response"]} for t in traces
    ]
    with MathVerifier() as verifier:
        verdicts = verifier([(trace["response"], trace["gold"]) for trace in traces])
    judged = [(t["response"], t["gold"], v.correct) for t, v in zip(traces, verdicts, strict=True)]
    solutions = {"texts": len(traces), **agreement(judged, scores(harness_python, rows))}
    solutions["right_by_label"] = sum(trace["correct"] for trace in traces)
    report("harness", played=played, solutions=solutions)


def print_cases(python: str) -> None:
    """The verdicts on the texts made to tell the rules apart."""
    rows = [{"question": "?", "answer": f"#### {gold}", "output": text} for text, gold in CASES]
    with MathVerifier() as verifier:
        verdicts = verifier(CASES)
    print("| text | gold | ours | flexible-extract | strict-match |\n|---|---|---|---|---|")
    for (text, gold), verdict, row in zip(CASES, verdicts, scores(python, rows), strict=True):
        marks = ["right" if mark else "wrong" for mark in (verdict.correct, *(row[f] for f in FILTERS[::-1]))]
        print(f"| `{json.dumps(text)[1:-1]}` | {gold} | {' | '.join(marks)} |")


def scores(python: str, rows: list[dict[str, Any]], *options: str) -> list[dict[str, Any]]:
    """The harness's texts and verdicts on these rows; without options it judges their `output`."""
    with tempfile.TemporaryDirectory() as folder:
        given, written = Path(folder) / "rows.jsonl", Path(folder) / "scores.jsonl"
        given.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        program = [python, "-m", "benchmarks.contenders.harness_scores"]
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": folder}
        files = [f"--rows={given}", f"--output={written}"]
        subprocess.run([*program, *files, *options], check=True, stdout=sys.stderr, env=offline)
        return read(written)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a jsonl file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def agreement(ours: list[tuple[str, str, bool]], theirs: list[dict[str, Any]]) -> dict[str, int]:
    """How many each finds right, and on how many they agree.

    `ours`: text, gold and verdict. Prints the texts that only one of us and flexible-extract finds right.
    """
    for (text, gold, verdict), row in zip(ours, theirs, strict=True):
        if verdict != row["flexible-extract"]:
            print(f"| `{json.dumps(text)[-80:]}` | `{gold}` | {'ours' if verdict else 'the harness'} |")
    verdicts = [verdict for _, _, verdict in ours]
    counts = {"right_ours": sum(verdicts)}
    for name in FILTERS:
        counts[f"right_{name}"] = sum(row[name] for row in theirs)
        counts[f"equals_{name}"] = sum(a == row[name] for a, row in zip(verdicts, theirs, strict=True))
    return counts


if __name__ == "__main__":
    auto_cli(harness)
