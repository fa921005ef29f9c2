"""`python -m flowdpo_pl VERB …`: runs a verb and prints what a user can mend as one sentence."""

from __future__ import annotations

import logging
import os.path
import signal
import sys
import warnings
from argparse import ArgumentError
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from flowdpo_pl.errors import Interrupted, UserError, one_sentence
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
    _quiet()
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        _require_text_configs(sys.argv[2:])
        if verb in OWN_VERBS:
            _run_own(verb, sys.argv[2:])
        else:
            from flowdpo_pl.cli import main as run_trainer

            _require_own_callbacks()
            run_trainer()
    except UserError as error:
        sys.exit(f"flowdpo_pl: {error}")
    except KeyboardInterrupt:
        raise Interrupted(signal.SIGINT) from None
    except ArgumentError as error:
        sys.exit(f"flowdpo_pl: {one_sentence(str(error))}")
    except ValueError as error:
        if "Does not validate against" not in str(error):
            raise
        sys.exit(f"flowdpo_pl: {one_sentence(str(error))}")  # an argument refused by its own class


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


def _require_text_configs(args: list[str]) -> None:
    """A config that is packed, or in another encoding, is named before a parser trips over its bytes."""
    for place, arg in enumerate(args):
        name = arg.removeprefix("--config=") if arg != "--config" else "".join(args[place + 1 : place + 2])
        if name != arg and os.path.isfile(name):
            try:
                Path(name).read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"the config {name} is no UTF-8 text ({error.reason} at byte {error.start}): "
                    "unpack it, or save it as UTF-8."
                ) from error


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
