"""`python -m flowdpo_pl VERB …`: runs a verb and prints what a user can mend as one sentence."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentError
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path

from flowdpo_pl import __version__
from flowdpo_pl.command_line.check import require_right
from flowdpo_pl.command_line.help import page_asked_for
from flowdpo_pl.command_line.own_verbs import run_ahead, run_own
from flowdpo_pl.command_line.plain_flags import with_key_of_position, with_plain_flags
from flowdpo_pl.command_line.taken_run import with_run
from flowdpo_pl.command_line.told_callbacks import told_callbacks
from flowdpo_pl.command_line.typed_text import MARK
from flowdpo_pl.command_line.verbs import overview, verb_named
from flowdpo_pl.errors import Interrupted, UserError, one_sentence
from flowdpo_pl.tested_versions import untested_versions
from flowdpo_pl.visible import visible


def main() -> None:
    """Console entry point."""
    _with_escapes()
    _without_bars_in_files()
    try:
        _run(sys.argv[1:])
    except UserError as error:
        sys.exit(f"flowdpo_pl: {visible(str(error))}")
    except KeyboardInterrupt:
        print("flowdpo_pl: interrupted before anything began", file=sys.stderr)
        raise Interrupted(signal.SIGINT) from None
    except BrokenPipeError:  # of `--help | head`; nothing more can be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Interrupted(signal.SIGPIPE) from None
    except ArgumentError as error:
        sys.exit(f"flowdpo_pl: {visible(_told(error))}")
    except ValueError as error:
        if "Does not validate against" not in str(error):
            raise
        sys.exit(f"flowdpo_pl: {visible(_told(error))}")  # an argument refused by its own class


def _told(error: Exception) -> str:
    return one_sentence(str(error).replace(MARK, ""))


def _run(words: list[str]) -> None:
    """Say at once what can be known without the heavy libraries; then import them and run the verb."""
    if not words or words[0] in ("-h", "--help"):
        print(overview(), flush=True)
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        print(f"flowdpo_pl {__version__}")
        return
    verb = verb_named(words[0])
    if verb.takes_a_run:
        _require_own_callbacks()
    if page := page_asked_for(verb, words[1:]):
        print(page, flush=True)
        return
    if "LOCAL_RANK" not in os.environ and (untested := untested_versions()):
        print(f"flowdpo_pl: {untested}", file=sys.stderr)
    arguments = with_plain_flags(verb, with_run(verb, words[1:], tell="LOCAL_RANK" not in os.environ))
    arguments = with_key_of_position(verb, arguments)
    require_right(verb, arguments)
    if verb.is_trainer_s:
        if (told := told_callbacks(arguments)) and "LOCAL_RANK" not in os.environ:
            print(visible(told), file=sys.stderr)
        from flowdpo_pl.cli import CLIS
        from flowdpo_pl.cli import main as run_trainer

        run_trainer([verb.of_trainer, *arguments], CLIS[verb.name])
    elif verb.looks_ahead:
        run_ahead(verb, arguments)
    else:
        run_own(verb, arguments)


def _require_own_callbacks() -> None:
    """A folder `callbacks` in the working directory would shadow the package of that name."""
    own = Path(__file__).resolve().parents[1] / "callbacks"
    spec = find_spec("callbacks")
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != own:
        raise UserError(
            f"the folder {Path.cwd() / 'callbacks'} hides the package 'callbacks' that the configs name: "
            "rename it or run from another directory."
        )


def _with_escapes() -> None:
    """What the encoding of the terminal, or of a file that is written to, lacks is printed as its escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _without_bars_in_files() -> None:
    """Libraries' progress bars are for a terminal; tqdm reads this when it is first imported."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")


if __name__ == "__main__":
    main()
