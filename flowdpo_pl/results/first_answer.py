"""Cuts a trace after its first answer: what Answer wrote on after Stop's No goes.

Where a flow's answer is finished and Stop says No, Answer has to write on. The verifier takes the marked
answer all the same, so nothing that is trained turns against it, and a model that is fine-tuned on such
traces learns to write on as well.
"""

from __future__ import annotations

import re
from dataclasses import replace

from flowdpo_pl.results.traces import Trace
from flowdpo_pl.verify.markers import extract_marked, first_marked
from flowdpo_pl.verify.reasoning import final_part

_SENTENCE = re.compile(r"[^.!?\n]*[.!?]?")
_INSIDE = re.compile(r"\w|[.,]\d")
"""What follows a beginning that is no whole answer: the 5 of 50, of 5.5."""


def cut_after_first_answer(trace: Trace) -> Trace:
    """The trace up to the end of the sentence that holds its first marked answer.

    Nothing is judged anew: where the first answer is not the one that was judged, the cut trace counts as
    wrong. A wrong trace, one without a marked answer and one that thinks aloud (`<think>`) stay as they are.
    """
    end = _end_of_first_answer(trace) if trace.correct else None
    text = trace.trace if end is None else trace.trace[:end].rstrip("`* ")
    if text == trace.trace:
        return trace
    right = extract_marked(text) in (trace.extracted, extract_marked(trace.trace))
    return replace(trace, trace=text, token_ids=(), correct=right, score=trace.score if right else 0.0)


def _end_of_first_answer(trace: Trace) -> int | None:
    text, answer = trace.trace, trace.extracted or ""
    marked = first_marked(text) if final_part(text) == text else None
    start = -1 if marked is None else text.find(marked.text, marked.start)
    if marked is None or start < 0:
        return None
    judged = answer and marked.text.startswith(answer) and not _INSIDE.match(marked.text, len(answer))
    sentence = _SENTENCE.match(text, start + len(answer if judged else marked.text))
    assert sentence is not None
    return sentence.end()
