"""`python -m flowdpo_pl VERB …`: picks the verb, imports what it needs, prints errors as one sentence."""

from __future__ import annotations

import sys

from flowdpo_pl.errors import UserError


def main() -> None:
    """Console entry point."""
    from flowdpo_pl.cli import main as run

    try:
        run()
    except UserError as error:
        sys.exit(f"flowdpo_pl: {error}")


if __name__ == "__main__":
    main()
