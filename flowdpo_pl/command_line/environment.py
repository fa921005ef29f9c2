"""`${NAME:-default}` in a config: the environment's NAME, or the default where it is unset or empty."""

from __future__ import annotations

import os
import re

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*):-([^${}\n]*)\}")


def from_environment(text: str) -> str:
    """The text of a config with these filled in, as a shell would; anything else with a `$` stays."""
    return _VARIABLE.sub(lambda match: os.environ.get(match[1]) or match[2], text)


def names_environment(text: str) -> bool:
    """Whether something would be filled in."""
    return _VARIABLE.search(text) is not None
