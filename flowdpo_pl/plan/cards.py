"""What a card has, by the name that a plan is asked for it; numbers from the makers' data sheets.

Rates are those of dense bf16 products and of the memory, which no program reaches in full.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowdpo_pl.errors import UserError

GB = 10**9
GIB = 2**30


@dataclass(frozen=True)
class Card:
    """A device that a run may be planned for."""

    name: str
    memory: int
    """Bytes."""
    flops: float
    """Of bf16 products, a second."""
    bandwidth: float
    """Bytes of its memory a second."""
    is_cpu: bool = False


CARDS = {
    card.name: card
    for card in (
        Card("h200", 141 * GB, 989e12, 4.8e12),
        Card("h100", 80 * GIB, 989e12, 3.35e12),
        Card("a100-80", 80 * GIB, 312e12, 2.0e12),
        Card("a100-40", 40 * GIB, 312e12, 1.55e12),
        Card("l40s", 48 * GIB, 362e12, 864e9),
        Card("a10", 24 * GIB, 125e12, 600e9),
        Card("l4", 24 * GIB, 121e12, 300e9),
        Card("t4", 16 * GIB, 65e12, 320e9),
        Card("4090", 24 * GIB, 165e12, 1.01e12),
        Card("3090", 24 * GIB, 71e12, 936e9),
    )
}


def card_named(name: str) -> Card:
    """
    Raises:
        UserError: no card is known by that name.
    """
    known = CARDS.get(name.lower())
    if known is None:
        raise UserError(f"card is {name!r}, which is not known: give cpu or one of {', '.join(CARDS)}.")
    return known
