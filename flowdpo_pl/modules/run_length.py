"""How long a run lasts: what a trainer's own limits mean here, what is to come, and what has ended it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Timer

from flowdpo_pl.errors import UserError


@dataclass(frozen=True)
class Limits:
    """After how much a module ends a training by itself; None: it doesn't."""

    max_problems: int | None
    max_generated_tokens: int | None

    def reached(self, problems: int, generated_tokens: int) -> str | None:
        """The setting that has ended a training which has had so much; None if none has."""
        spent = {"max_problems": problems, "max_generated_tokens": generated_tokens}
        limits = {name: getattr(self, name) for name in spent}
        return next((name for name, most in limits.items() if most is not None and spent[name] >= most), None)

    def outlook(self, trainer: Trainer, seen: int, passes: int, in_data: int | None) -> str:
        """What a `fit` says of its length when it starts; see `outlook`."""
        limits = {} if self.max_problems is None else {"model.max_problems": self.max_problems}
        tokens = [] if self.max_generated_tokens is None else ["model.max_generated_tokens"]
        time = ["trainer.max_time"] if has_timer(trainer) else []
        several = f"{passes} passes over " if passes > 1 else ""
        return outlook("fit", seen, f"{several}data.train", in_data, limits, [*tokens, *time])


def require_data_s_end(trainer: Trainer) -> None:
    """Refuse the limits that count Lightning's epochs and steps, which here are no measure of anything.

    A flow's `fit` is one epoch of Lightning's, whatever the passes, and an update of each agent is a step.
    `max_time` is served, and so is `fast_dev_run`, which sets limits of its own.

    Raises:
        UserError: names the limit and what to set instead.
    """
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    few: float = trainer.overfit_batches  # type: ignore[attr-defined]
    passes = "data.passes says how often the problems are gone through"
    problems = "model.max_problems says after how many problems a run ends"
    for name, value, unset, instead in (
        ("max_epochs", trainer.max_epochs, -1, passes),
        ("max_steps", trainer.max_steps, -1, problems),
        ("min_steps", trainer.min_steps, None, problems),
        ("min_epochs", trainer.min_epochs or None, None, passes),  # Lightning's own is 0, with min_steps 1
        ("overfit_batches", few, 0, f"data.train.limit takes few problems, {passes}"),
        ("limit_train_batches", trainer.limit_train_batches, 1.0, problems),
    ):
        if value != unset:
            default = "null" if unset is None else f"{unset:g}"
            raise UserError(
                f"trainer.{name} is {value}, but a run of FlowDPOModule is not measured in that: "
                f"leave it at {default}; {instead}."
            )


def stopped_by_trainer(trainer: Trainer) -> str:
    """Which of the trainer's settings has ended a `fit`; `should_stop` if it was none of them."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return "fast_dev_run"
    if any(
        (left := timer.time_remaining()) is not None and left <= 0
        for timer in trainer.callbacks  # type: ignore[attr-defined]
        if isinstance(timer, Timer)
    ):
        return "max_time"
    if 0 <= trainer.max_steps <= trainer.global_step:
        return "max_steps"
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch:
        return "max_epochs"
    return "should_stop"


def has_timer(trainer: Trainer) -> bool:
    """Whether `max_time` may end the run."""
    return any(isinstance(callback, Timer) for callback in trainer.callbacks)  # type: ignore[attr-defined]


def outlook(
    verb: str, seen: int, source: str, in_data: int | None, limits: Mapping[str, int], others: Sequence[str]
) -> str:
    """How many problems are to come and what will end the verb, in one line.

    Args:
        verb: of the trainer.
        seen: problems that are done.
        source: where the problems come from, such as `data.train`.
        in_data: at most so many are there, those that are done included; None if nobody knows.
        limits: positions at which else the verb ends, by the setting's key.
        others: settings that may end it before, and count something else.
    """
    setting, limit = min(limits.items(), key=lambda item: item[1], default=("", None))
    ends = [number for number in (limit, in_data) if number is not None]
    if limit is not None and seen >= limit:
        return f"{verb}: nothing is to come: {seen:,} problems are done, and {setting} is {limit:,}; raise it"
    to_come = f"at most {max(0, min(ends) - seen):,} problems to come" if ends else "problems to come"
    if limit is None or (in_data is not None and in_data < limit):
        unused = f", not {setting} {limit:,}" if limit is not None else ""
        end = f"the end of {source} ends it{unused}"
    else:
        earlier = "" if in_data == limit else f", or the end of {source} if that comes before"
        end = f"{setting} {limit:,} ends it, after a whole batch{earlier}"
    sooner = f" ({' or '.join(others)} may end it sooner)" if others else ""
    return f"{verb}: {to_come}; {end}{sooner}"
