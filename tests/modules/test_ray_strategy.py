"""Without Ray, and outside its workers, it is refused in a sentence; `benchmarks.killed` runs on it."""

from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.ray_strategy import RayAdapterStrategy


def test_outside_of_ray_it_is_refused() -> None:
    with pytest.raises(UserError, match=r"(ray is not installed: pip install|no Ray Train has started)"):
        RayAdapterStrategy()
