"""A key that a config has twice is refused by every verb, with its place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowdpo_pl.__main__ import main
from flowdpo_pl.errors import UserError
from flowdpo_pl.yaml_keys import require_single_keys

CONFIGS = sorted((Path(__file__).parent.parent / "configs").rglob("*.yaml"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 1\n", "the key a twice, in line 1 and in line 3"),
        (
            "model:\n  learning:\n    lr: 1\n    loss: x\n    lr: 2\n",
            r"the key model\.learning\.lr twice, in line 3",
        ),
        ("l:\n- {a: 1}\n- {a: 1, b: 2, 'b': 3}\n", r"the key l\.1\.b twice, in line 3 and in line 3"),
        ('{"a": 1, "a": 2}', "the key a twice, in line 1 and in line 1"),
    ],
)
def test_a_repeated_key_is_named_with_its_lines(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        require_single_keys(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a: 1\nb: {a: 1}\n",
        "- a: 1\n- a: 1\n",
        "a: &x {b: 1}\nc: {<<: *x, b: 2}\n",
        "a: [",
        "a: {b: c}: d",
        "1: 2",
    ],
)
def test_other_texts_are_left_to_their_reader(text: str) -> None:
    require_single_keys(text)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_our_own_configs_have_every_key_once(config: Path) -> None:
    require_single_keys(config.read_text(encoding="utf-8"))


TWICE = "seed_everything: 1\nseed_everything: 2\n"
STUDY = (
    "output: out\nstages:\n  a:\n    verb: fit\n    config: x.yaml\n  a:\n    verb: fit\n    config: y.yaml\n"
)


@pytest.mark.parametrize(
    ("verb", "text", "complaint"),
    [
        ("fit", TWICE, "the key seed_everything twice, in line 1 and in line 2: keep one"),
        ("validate", TWICE, "the key seed_everything twice"),
        ("study", STUDY, r"the key stages\.a twice, in line 3 and in line 6: keep one"),
        ("arms", "output: a\noutput: b\n", "the key output twice"),
        ("ground_truth", "output: a\noutput: b\n", "the key output twice"),
    ],
)
def test_every_verb_refuses_it_in_one_sentence(
    verb: str, text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", verb, "--config", str(config)])
    with pytest.raises(SystemExit, match=rf"^flowdpo_pl: .*{complaint}"):
        main()


def test_a_value_of_the_command_line_is_read_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["flowdpo_pl", "fit", "--model=flowdpo_pl.FlowDPOModule", "--model.learning={lr: 1, lr: 2}"],
    )
    with pytest.raises(SystemExit, match="the key lr twice"):
        main()


@pytest.mark.parametrize("text", ["a: 2024-13-45", "a: !!bool x", "a: [b", "a: " + "[" * 100_000])
def test_a_config_with_a_value_that_is_none_is_named(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", "fit", "--config", str(config)])
    with pytest.raises(SystemExit, match=r"^flowdpo_pl: --config .*c\.yaml is no YAML \("):
        main()
