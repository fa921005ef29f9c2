"""Nesting is told before anything recurses into it, which some releases of PyYAML do not survive."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowdpo_pl.__main__ import main
from flowdpo_pl.yaml_depth import MOST, is_too_deep

CONFIGS = sorted((Path(__file__).parent.parent / "configs").rglob("*.yaml"))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}"), ("- ", "1"), ("? ", "")])
def test_nesting_counts_whoever_it_is_of(opening: str, closing: str) -> None:
    assert is_too_deep(opening * (MOST + 1) + "1" + closing * (MOST + 1))
    assert not is_too_deep(opening * (MOST - 1) + "1" + closing * (MOST - 1))


def test_what_stands_side_by_side_is_not_deep_and_what_is_no_yaml_is_left() -> None:
    assert not is_too_deep("- [1]\n" * 1000) and not is_too_deep("a: ]") and not is_too_deep("\0")
    assert not any(is_too_deep(file.read_text()) for file in CONFIGS)


@pytest.mark.parametrize(
    ("depth", "told"), [(300, "nested deeper than 100"), (100_000, "nested deeper|is no YAML")]
)
def test_a_config_too_deep_is_one_sentence(
    depth: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some releases of libyaml give up at a depth of 1,000 by themselves."""
    deep = "model: " + "[" * depth + "]" * depth
    (tmp_path / "deep.yaml").write_text(deep)
    for config in (str(tmp_path / "deep.yaml"), *([deep] if depth < 1000 else [])):
        monkeypatch.setattr(sys, "argv", ["flowdpo_pl", "fit", f"--config={config}"])
        with pytest.raises(SystemExit, match=told):
            main()
