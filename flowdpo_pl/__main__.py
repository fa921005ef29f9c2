"""`python -m flowdpo_pl VERB …`: runs a verb and prints what a user can mend as one sentence."""

from __future__ import annotations

import logging
import sys
import warnings
from argparse import ArgumentError
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError, one_sentence

OWN_VERBS: dict[str, dict[str, Any]] = {
    "arms": {"as_positional": False},
    "compare": {},
    "convert": {},
    "ground_truth": {"as_positional": False},
    "merge": {"as_positional": False},
    "study": {"as_positional": False},
}
"""Verbs that are not the trainer's, each the function of that name in the module of that name, and how
its arguments are read."""


def main() -> None:
    """Console entry point."""
    _quiet()
    try:
        verb = sys.argv[1] if len(sys.argv) > 1 else ""
        if verb in OWN_VERBS:
            from jsonargparse import auto_cli

            function = getattr(import_module(f"flowdpo_pl.verbs.{verb}"), verb)
            auto_cli(
                function,
                args=sys.argv[2:],
                prog=f"flowdpo_pl {verb}",
                allow_abbrev=False,
                exit_on_error=False,
                **OWN_VERBS[verb],
            )
        else:
            from flowdpo_pl.cli import main as run

            _require_own_callbacks()
            run()
    except UserError as error:
        sys.exit(f"flowdpo_pl: {error}")
    except ArgumentError as error:
        sys.exit(f"flowdpo_pl: {one_sentence(str(error))}")
    except ValueError as error:
        if "Does not validate against" not in str(error):
            raise
        sys.exit(f"flowdpo_pl: {one_sentence(str(error))}")  # an argument refused by its own class


def _require_own_callbacks() -> None:
    """A folder `callbacks` in the working directory would shadow the package of that name."""
    own = Path(__file__).resolve().parents[1] / "callbacks"
    spec = find_spec("callbacks")
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != own:
        raise UserError(
            f"the folder {Path.cwd() / 'callbacks'} hides the package 'callbacks' that the configs name: "
            "rename it or run from another directory."
        )


def _quiet() -> None:
    """Silence other libraries' notes on what this project does on purpose."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # a missing optional CPU kernel
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    warnings.filterwarnings("ignore", message=r".*module\(s\) in eval mode.*")  # the base is frozen
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")  # ours are
    warnings.filterwarnings("ignore", message=".*`list` across ranks is zero.*")  # no validation data


if __name__ == "__main__":
    main()
