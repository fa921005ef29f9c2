"""Which major versions of other packages the tests have run on, and what to say of a newer one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

NEWEST_TESTED = {
    "bitsandbytes": 0,
    "datasets": 5,
    "gguf": 0,
    "httpx2": 2,
    "huggingface-hub": 2,
    "jinja2": 3,
    "jsonargparse": 4,
    "lightning": 2,
    "math-verify": 0,
    "matplotlib": 3,
    "numpy": 2,
    "peft": 0,
    "plotly": 7,
    "pyarrow": 26,
    "pyyaml": 6,
    "rich": 15,
    "safetensors": 0,
    "sympy": 1,
    "tensorboard": 2,
    "torch": 2,
    "torchmetrics": 1,
    "transformers": 5,
    "wandb": 0,
}
"""Major versions of what a user installs; `make test-newest` says when to raise one."""


def untested_versions() -> str:
    """One sentence on installed packages that are newer than any tested; empty if none is. Imports none."""
    newer = [
        f"{package} {found} (tested: {tested}.x)"
        for package, tested in NEWEST_TESTED.items()
        if _major(found := _installed(package)) > tested
    ]
    if not newer:
        return ""
    return f"not tested yet with {', '.join(newer)}: if something is odd, install an earlier one."


def _installed(package: str) -> str:
    """Its version; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _major(version: str) -> int:
    """-1 of none, and of what is no number."""
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else -1
