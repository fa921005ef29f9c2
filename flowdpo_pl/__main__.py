"""`python -m flowdpo_pl VERB …`: runs a verb and prints what a user can mend as one sentence."""

from __future__ import annotations

import logging
import sys
import warnings
from argparse import ArgumentError
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from flowdpo_pl.errors import UserError
from flowdpo_pl.parse_errors import one_sentence

_OTHER_VERBS = {
    "arms": "flowdpo_pl.arms",
    "convert": "flowdpo_pl.convert",
    "ground_truth": "flowdpo_pl.ground_truth",
    "study": "flowdpo_pl.study",
}
"""Verbs that are not the trainer's, and the modules of the functions so named."""
_POSITIONAL = {"convert"}
"""Verbs whose required arguments have no names; the others can be given a --config."""


def main() -> None:
    """Console entry point."""
    _quiet()
    try:
        if (verb := "".join(sys.argv[1:2])) in _OTHER_VERBS:
            from jsonargparse import auto_cli

            auto_cli(
                getattr(import_module(_OTHER_VERBS[verb]), verb),
                as_positional=verb in _POSITIONAL,
                args=sys.argv[2:],
                prog=f"flowdpo_pl {verb}",
                allow_abbrev=False,
                exit_on_error=False,
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


if __name__ == "__main__":
    main()
