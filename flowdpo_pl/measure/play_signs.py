"""What a batch of trees shows of why a flow may not learn, as counts that add up over a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

from flowdpo_pl.types import Fork, Move, RolloutTree, Trajectory
from flowdpo_pl.verify.answers import quick_verdict, read_answer
from flowdpo_pl.verify.markers import extract_marked

SIGNS = (
    *("chains", "right", "cut", "closed_early", "marked", "nothing_read", "right_unread", "other_kind"),
    *("written_tokens", "written_nats", "endings", "endings_right"),
    *("written_forks", "same_text", "better_finished", "better_going_on"),
)
"""Names of the counts, in logs after `signs/`; docs/runs.md explains them."""


Finishes: TypeAlias = Callable[[Sequence[Move], Move], bool | None]
"""Says of a choice, after the moves before it, whether it ended the flow; None where that was not asked."""


def play_signs(
    trees: Sequence[RolloutTree],
    finishes: Finishes,
    ended: Callable[[Move], bool],
    marked: Callable[[str], str | None] = extract_marked,
    margin: float = 0.0,
) -> dict[str, float]:
    """Counts over the trees of one batch, by `signs/{name}`; all of `SIGNS`.

    Of main chains: `chains` in all; `right`: the sum of their scores; `cut`: they reached the flow's limit in
    the middle of a move; `closed_early`: an agent that chooses ended them in the middle of a move, without a
    mark; `marked`: the answer carries an explicit mark; `nothing_read`: the verifier found no answer in it;
    `right_unread`: of these, those whose text reads as the gold answer all the same; `other_kind`: wrong, and
    one of answer and gold is a number and the other is none; `written_tokens`, and `written_nats`: minus
    their log-probability under the distribution that they were drawn from.

    Of all endings: `endings`, `endings_right` (the sum of their scores). Of forks: `written_forks`, of them
    `same_text` whose moves read the same; pairs of choices where finishing was better (`better_finished`), or
    going on.

    Args:
        trees: of the batch.
        finishes: `Flow.finishes`.
        ended: says whether a written move ends with an end token.
        marked: the answer behind an explicit mark, or None (`Verifier.marked`).
        margin: endings whose scores differ by no more are ties.
    """
    counts: Counter[str] = Counter()
    for tree in trees:
        counts.update(_of_chain(tree.main, tree.problem.gold, finishes, ended, marked))
        for fork in tree.forks:
            counts["endings"] += 1
            counts.update({"endings_right": fork.branch.score})
            counts.update(_of_fork(fork, finishes, margin))
    return {f"signs/{name}": float(counts[name]) for name in SIGNS}


def _of_chain(
    main: Trajectory,
    gold: str,
    finishes: Finishes,
    ended: Callable[[Move], bool],
    marked: Callable[[str], str | None],
) -> Counter[str]:
    written = [move for move in main.moves if move.option is None]
    last = main.moves[-1]
    counts: Counter[str] = Counter(chains=1, endings=1)
    counts.update({"right": main.score, "endings_right": main.score})
    counts["cut"] = int(last.option is None and not ended(last))
    counts["marked"] = int(marked(main.answer) is not None)
    closed = finishes(main.moves[:-1], last) is True
    counts["closed_early"] = int(closed and not ended(written[-1]) and not counts["marked"])
    counts["written_tokens"] = sum(len(move.token_ids) for move in written)
    counts.update({"written_nats": -sum(move.logprob for move in written)})
    if not main.correct and main.verdict.error is None:
        answer, right = read_answer(main.answer), read_answer(gold)
        counts["nothing_read"] = int(main.verdict.extracted is None)
        if main.verdict.extracted is None:
            counts["right_unread"] = int(
                quick_verdict(answer, right) is True or _ends_with(main.answer, gold)
            )
        else:
            counts["other_kind"] = int((answer.value is None) != (right.value is None))
    return counts


def _of_fork(fork: Fork, finishes: Finishes, margin: float) -> Counter[str]:
    counts: Counter[str] = Counter()
    if fork.repeats:
        return counts
    if fork.taken.option is None:
        counts["written_forks"] = 1
        counts["same_text"] = int(fork.taken.text == fork.other.text)
    elif fork.is_pair(margin):
        finished = finishes(fork.branch.moves[: fork.node], fork.better)
        if finished is not None:
            counts["better_finished" if finished else "better_going_on"] = 1
    return counts


def _ends_with(text: str, gold: str) -> bool:
    """Whether the last word of a text is the gold answer: what a reader without marks would take."""
    words = text.split()
    return bool(words) and words[-1].strip("*`.,;:$") == gold.strip()
