"""Tests on a real vLLM server: `make test-vllm`.

VLLM_PYTHON names an interpreter that has vllm; without it all are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs import MODEL


@pytest.fixture(scope="session")
def vllm_python() -> str:
    if not (found := os.environ.get("VLLM_PYTHON")):
        pytest.skip("VLLM_PYTHON is not set")
    return str(Path(found).absolute())


@pytest.fixture(scope="session")
def models() -> Callable[[str], Path]:
    """The quickstart's model whatever the family: vLLM has no kernels for smaller heads."""
    return lambda family: MODEL
