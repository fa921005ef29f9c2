"""A play as the numbers of its batch; runs of whole modules are in tests/modules."""

from __future__ import annotations

from pytest import approx

from flowdpo_pl.measure.chooser_confusion import ChooserConfusion
from flowdpo_pl.measure.fixed_accuracy import FixedAccuracy
from flowdpo_pl.play.rollouts import Play
from flowdpo_pl.results.batch_numbers import is_summed
from flowdpo_pl.results.stream_numbers import StreamNumbers
from flowdpo_pl.types import Problem
from tests.runs import module

PROBLEMS = [Problem(f"p{n}", f"{n} + 1 = ?", str(n + 1)) for n in range(6)]


class Stream:
    def __init__(self) -> None:
        self.run = module()
        self.accuracy = FixedAccuracy(160)
        self.numbers = StreamNumbers(self.accuracy, ChooserConfusion(), self.run.verifier)

    def play(self, problems: list[Problem]) -> Play:
        return self.run.rollouts.play(problems)

    def add(self, play: Play, number: int = 1) -> dict[str, float]:
        return self.numbers.add(play, play.trees, self.run.players, 0.25, number).flat()


def test_what_adds_up_over_batches_is_what_one_batch_of_all_has() -> None:
    apart, together = Stream(), Stream()
    parts = [apart.add(apart.play(PROBLEMS[:2])), apart.add(apart.play(PROBLEMS[2:]))]
    whole = together.add(together.play(PROBLEMS))
    for name in (name for name in whole if is_summed(name) and not name.startswith("seconds/")):
        assert sum(part[name] for part in parts) == approx(whole[name]), name
    assert parts[1]["problems_seen"] == whole["problems_seen"] == together.numbers.seen == 6
    assert apart.numbers.over_all(0.25) == approx(together.numbers.over_all(0.25), nan_ok=True)


def test_a_later_pass_leaves_the_progressive_accuracy_as_it_is() -> None:
    stream = Stream()
    play = stream.play(PROBLEMS)
    first, again = stream.add(play), stream.add(play, number=2)
    assert int(stream.accuracy.seen) == 6 and stream.numbers.seen == 12
    assert "again/accuracy" not in first and again["again/accuracy"] == play_accuracy(play)
    assert again["data_pass"] == 2.0


def play_accuracy(play: Play) -> float:
    return sum(tree.main.correct for tree in play.trees) / len(play.trees)


def test_a_stream_that_begins_anew_has_counted_nothing() -> None:
    stream = Stream()
    assert stream.numbers.over_all(0.25) == {}
    once = stream.add(stream.play(PROBLEMS))
    stream.numbers.restart()
    assert stream.numbers.over_all(0.25) == {} and stream.numbers.seen == 0
    again = stream.add(stream.play(PROBLEMS))
    assert {
        name: value for name, value in again.items() if "second" not in name and "memory" not in name
    } == (approx({n: v for n, v in once.items() if "second" not in n and "memory" not in n}, nan_ok=True))
