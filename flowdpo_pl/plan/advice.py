"""What to change where a run does not fit: single settings, each with what it would need then.

Settings that change no result stand first; a smaller batch, which learns otherwise, is the last resort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from flowdpo_pl.plan.memory import Use

_FEWEST_COLUMNS = 16_384
"""Of `decode_tokens`: with fewer, steps have too few rows to be worth reading the weights for."""


@dataclass(frozen=True)
class Change:
    """A setting as it would be typed, and the memory that is needed with it."""

    key: str
    needs: int
    """Bytes."""

    @property
    def setting(self) -> str:
        """Without its value."""
        return self.key.partition("=")[0]


def changes(use: Use, needs: Callable[[Use], int], most: int) -> list[Change]:
    """What lowers the need: one setting at a time; where none is enough, together until it fits `most` bytes.

    Empty if nothing helps.
    """
    now = needs(use)
    single = [(key, changed, needs(changed)) for key, changed in _options(use)]
    enough = [Change(key, n) for key, _, n in single if n < now and n <= most]
    return enough or _together(use, needs, most)


def _together(use: Use, needs: Callable[[Use], int], most: int) -> list[Change]:
    """Changes one upon another, each time the one that helps most; the need is with all up to it."""
    taken: list[Change] = []
    for _ in range(8):
        now = needs(use)
        if now <= most:
            break
        tried = [(needs(changed), key, changed) for key, changed in _options(use)]
        helping = [one for one in tried if one[0] < now]
        same = [one for one in helping if not one[1].startswith("data.")]
        least = min(same or helping, key=lambda one: one[0], default=None)
        if least is None:
            break
        taken = [change for change in taken if change.setting != least[1].partition("=")[0]]
        taken.append(Change(least[1], least[0]))
        use = least[2]
    return taken


def _options(use: Use) -> Iterator[tuple[str, Use]]:
    if use.learners and not use.checkpointing:
        key = "model.team.budget.activation_checkpointing=true"
        yield key, replace(use, checkpointing=True)
    if use.learners and use.update_tokens > 512:
        tokens = use.update_tokens // 2
        yield f"model.team.budget.update_tokens={tokens}", replace(use, update_tokens=tokens)
    if use.problems and use.decode_tokens > _FEWEST_COLUMNS:
        tokens = use.decode_tokens // 4
        yield f"model.team.budget.decode_tokens={tokens}", replace(use, decode_tokens=tokens)
    if use.quantization is None:
        yield "model.team.base.quantization=nf4", replace(use, quantization="nf4")
    if use.problems > 1:
        half = use.problems // 2
        changed = replace(use, problems=half, trees=min(use.trees, half))
        yield f"data.batch_size={half}", changed
