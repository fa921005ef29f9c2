"""The verifier that a config has chosen, in whatever of its forms."""

from __future__ import annotations

from flowdpo_pl.errors import UserError
from flowdpo_pl.verify.function_verifier import FunctionVerifier
from flowdpo_pl.verify.math_verifier import MathVerifier
from flowdpo_pl.verify.verifier import Verifier


def chosen_verifier(key: str, given: Verifier | str | None) -> Verifier:
    """The verifier itself, one of the function that a text names, or math-verify in one worker process.

    Raises:
        UserError: names the key; see `FunctionVerifier`.
    """
    if given is None:
        return MathVerifier()
    if isinstance(given, Verifier):
        return given
    try:
        return FunctionVerifier(given)
    except UserError as error:
        raise UserError(f"{key}: {error}") from error
