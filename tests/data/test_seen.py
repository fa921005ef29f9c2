from __future__ import annotations

import random
import tracemalloc

from flowdpo_pl.data.seen import Seen


def test_it_knows_what_a_dictionary_knows() -> None:
    rng, seen, known = random.Random(0), Seen(), {}
    for _ in range(8000):
        text, value = str(rng.randrange(4000)), rng.choice("ab")
        expected = None if text not in known else known[text] == value
        assert seen.told(text, value) is expected
        seen.add(text, value)
        known.setdefault(text, value)
    assert len(seen) == len(known)


def test_any_text_is_remembered_and_few_bytes_each() -> None:
    seen = Seen()
    tracemalloc.start()
    for number in range(3000):
        seen.add(f"{'a long question ' * 20}{number} \ud800")
    assert tracemalloc.get_traced_memory()[0] < 3000 * 70
    tracemalloc.stop()
    assert seen.told(f"{'a long question ' * 20}7 \ud800") is True and seen.told("") is None
