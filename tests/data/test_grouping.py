from __future__ import annotations

from collections import Counter

from flowdpo_pl.data.grouping import Grouping, KeepTogether, OneRewritePerSeed
from flowdpo_pl.types import Problem


def rewrites(seeds: str) -> list[Problem]:
    """One problem a letter, the letter being its seed question (`-`: none)."""
    return [Problem(str(n), f"q{n}", "1", "" if seed == "-" else seed) for n, seed in enumerate(seeds)]


def grouped(grouping: Grouping, seeds: str, batch_size: int = 4) -> tuple[list[str], int]:
    skipped: Counter[str] = Counter()
    groups = grouping.groups(iter(rewrites(seeds)), batch_size, skipped)
    return [" ".join(problem.id for problem in group) for group in groups], skipped.total()


def test_the_first_rewrite_of_a_seed_is_kept() -> None:
    assert grouped(OneRewritePerSeed(), "abacb") == (["0", "1", "3"], 2)


def test_problems_without_a_seed_are_never_rewrites() -> None:
    assert grouped(OneRewritePerSeed(), "--a-a") == (["0", "1", "2", "3"], 1)
    assert grouped(KeepTogether(), "---") == (["0", "1", "2"], 0)


def test_one_rewrite_per_seed_reads_no_further_than_it_must() -> None:
    problems = iter(rewrites("abcd"))
    next(OneRewritePerSeed().groups(problems, 4, Counter()))
    assert next(problems).id == "1"


def test_a_seed_in_another_form_is_the_same_seed() -> None:
    problems = [Problem(seed, f"q {seed}", "1", seed) for seed in ("How many?", "how  many", "How few?")]
    kept = list(OneRewritePerSeed().groups(problems, 4, Counter()))
    assert [problem.id for (problem,) in kept] == ["How many?", "How few?"]
    together = list(KeepTogether().groups(problems, 4, Counter()))
    assert [len(group) for group in together] == [2, 1]


def test_all_rewrites_of_a_seed_come_together() -> None:
    assert grouped(KeepTogether(), "abacb") == (["0 2", "1 4", "3"], 0)


def test_a_group_is_no_larger_than_a_batch() -> None:
    assert grouped(KeepTogether(), "aaaba", batch_size=2) == (["0 1", "3"], 2)
