"""Every random draw as a pure function of (seed, sample, problem, path in the tree, token position).

No draw depends on batch, wave, rank or retry, so that batching, data parallelism and resuming can
be proven equal. Counter-based: SplitMix64 (Steele et al., "Fast splittable pseudorandom number
generators", 2014) applied to a key that is a BLAKE2 hash of the path.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers of one run."""

    seed: int = 0

    def key(self, *path: str | int) -> int:
        """A 64-bit key for a place in a tree, for example `(problem id, fork, move number)`."""
        text = "\x1f".join(map(str, (self.seed, *path)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

    def uniform(self, *path: str | int) -> float:
        """One number in (0, 1) for a place in a tree."""
        return float(uniforms([self.key(*path)], 1)[0, 0])

    def of_sample(self, index: int) -> Draws:
        """The draws of a problem's further attempts; those of attempt 0 are the run's own."""
        return self if index == 0 else Draws(self.key("sample", index))

    def of_pass(self, number: int) -> Draws:
        """The draws of a further pass over the same problems; those of pass 1 are the run's own."""
        return self if number == 1 else Draws(self.key("pass", number))


def uniforms(keys: list[int], count: int) -> NDArray[np.float64]:
    """`count` numbers in (0, 1) for each of B keys: a `[B, count]` array, row i a function of key i."""
    with np.errstate(over="ignore"):
        counters = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        x = np.asarray(keys, dtype=np.uint64)[:, None] + counters[None, :]
        x = (x ^ (x >> np.uint64(30))) * _MIX_1
        x = (x ^ (x >> np.uint64(27))) * _MIX_2
        x = x ^ (x >> np.uint64(31))
    numbers: NDArray[np.float64] = ((x >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return numbers
