"""Sequence packing: several sequences in one row, of which none sees another.

Rows are as long as the longest sequence: no longer, because attention costs the square of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowdpo_pl.packing import PackedTree, ScoredMove


def pack_rows(sequences: Sequence[ScoredMove]) -> list[PackedTree]:
    """Rows that hold every sequence once, its move scored; first-fit by decreasing length.

    A row is a packed tree without a trunk: every sequence is a segment, attached to nothing, whose
    positions start at 0.
    """
    ordered = sorted(sequences, key=lambda sequence: len(sequence.inputs), reverse=True)
    rows: list[PackedTree] = []
    for sequence in ordered:
        size = len(sequence.inputs)
        row = next((row for row in rows if len(row) + size <= len(ordered[0].inputs)), None)
        if row is None:
            row = PackedTree([], [], [], [], [], [], [])
            rows.append(row)
        _append(row, sequence)
    return rows


def _append(row: PackedTree, sequence: ScoredMove) -> None:
    size, first = len(sequence.inputs), len(row) + len(sequence.before) - 1
    row.token_ids.extend(sequence.inputs)
    row.positions.extend(range(size))
    row.segments.extend([len(row.moves)] * size)
    row.attached.extend([0] * size)
    row.moves.append(tuple(range(len(row.scored), len(row.scored) + len(sequence.move))))
    row.scored.extend((first + offset, token) for offset, token in enumerate(sequence.move))
    row.options.extend([sequence.options] * len(sequence.move))
