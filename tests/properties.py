"""What the property-based tests share: the same few examples every time, wherever they run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

few = settings(
    max_examples=25,
    derandomize=True,  # the same examples in every run: what CI says is about the change
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
whole_numbers = st.integers(-(10**12), 10**12)
texts = st.text(st.characters(codec="utf-8"), max_size=60)
any_text = st.text(max_size=200)
"""Half characters too."""
