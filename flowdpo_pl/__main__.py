"""`python -m flowdpo_pl VERB …`: runs a verb and prints what a user can mend as one sentence."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentError
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from flowdpo_pl.errors import UserError, one_sentence
from flowdpo_pl.visible import visible
from flowdpo_pl.yaml_keys import refuse_repeated_keys

OWN_VERBS = {
    "arms": False,
    "compare": True,
    "convert": True,
    "ground_truth": False,
    "merge": False,
    "study": False,
}
"""Verbs that are not the trainer's, each the function of that name in the module of that name, and whether
what it requires is given by position."""


def main() -> None:
    """Console entry point."""
    _without_bars_in_files()
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        if verb in OWN_VERBS:
            _run_own(verb, sys.argv[2:])
        else:
            from flowdpo_pl.cli import main as run_trainer

            _require_own_callbacks()
            run_trainer()
    except UserError as error:
        sys.exit(f"flowdpo_pl: {visible(str(error))}")
    except ArgumentError as error:
        sys.exit(f"flowdpo_pl: {visible(one_sentence(str(error)))}")
    except ValueError as error:
        if "Does not validate against" not in str(error):
            raise
        sys.exit(f"flowdpo_pl: {visible(one_sentence(str(error)))}")  # an argument refused by its own class


def _run_own(verb: str, args: list[str]) -> None:
    from jsonargparse import auto_cli

    refuse_repeated_keys()
    auto_cli(
        getattr(import_module(f"flowdpo_pl.verbs.{verb}"), verb),
        args=args,
        prog=f"flowdpo_pl {verb}",
        as_positional=OWN_VERBS[verb],
        allow_abbrev=False,
        exit_on_error=False,
    )


def _require_own_callbacks() -> None:
    """A folder `callbacks` in the working directory would shadow the package of that name."""
    own = Path(__file__).resolve().parents[1] / "callbacks"
    spec = find_spec("callbacks")
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != own:
        raise UserError(
            f"the folder {Path.cwd() / 'callbacks'} hides the package 'callbacks' that the configs name: "
            "rename it or run from another directory."
        )


def _without_bars_in_files() -> None:
    """Libraries' progress bars are for a terminal; tqdm reads this when it is first imported."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")


if __name__ == "__main__":
    main()
