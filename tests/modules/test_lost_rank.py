"""A message between processes that fails is a sentence; whatever else fails stays what it is."""

from __future__ import annotations

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.lost_rank import lost_ranks_told


def fail_in(module: str, error: RuntimeError) -> None:
    """As a function of that module would."""
    told = {"error": error, "__name__": module}
    exec("def meet():\n    raise error", told)
    told["meet"]()  # type: ignore[operator]


CLOSED = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:9."


def test_a_rank_that_is_lost_is_told_by_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowdpo_pl.modules.lost_rank.ranks", lambda: 2)
    with pytest.raises(UserError) as told, lost_ranks_told():
        fail_in("torch.distributed.distributed_c10d", RuntimeError(CLOSED))
    sentence = str(told.value)
    assert "has ended" in sentence and "(Connection closed by peer" in sentence and "\n" not in sentence
    with pytest.raises(torch.OutOfMemoryError), lost_ranks_told():
        fail_in("torch.nn.functional", torch.OutOfMemoryError("no room"))


def test_a_process_alone_has_lost_nobody() -> None:
    with pytest.raises(RuntimeError, match="closed by peer"), lost_ranks_told():
        fail_in("torch.distributed.distributed_c10d", RuntimeError(CLOSED))
