"""Two callbacks that write the same files are refused, also where a trainer is made in Python."""

from __future__ import annotations

from typing import ClassVar

from lightning.pytorch import Trainer

from flowdpo_pl.errors import UserError


class OwnFiles:
    """A callback that writes files of fixed names in the run folder."""

    files: ClassVar[tuple[str, ...]] = ()
    """Files and folders that are its alone, in the verb that it follows."""

    def require_own_files(self, trainer: Trainer) -> None:
        """To be called from `setup`.

        Raises:
            UserError: another callback of the trainer writes one of them; both are named.
        """
        others: list[object] = list(trainer.callbacks)  # type: ignore[attr-defined]
        for other in others:
            if other is self or not isinstance(other, OwnFiles):
                continue
            if both := set(self.files) & set(other.files):
                raise UserError(
                    f"trainer.callbacks has {type(self).__name__} and {type(other).__name__}, which both "
                    f"write {' and '.join(sorted(both))}: leave one of them."
                )
