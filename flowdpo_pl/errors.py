"""The one exception for what a user can cause and mend."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: one sentence that names the file, key or value and says what to do.

    The command line prints it without a traceback.
    """
