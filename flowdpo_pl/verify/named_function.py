"""A function of the user's by its dotted name: found, its signature read, and called with what it takes."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.returned import as_verdict
from flowdpo_pl.verify.worker import describe

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class NamedFunction:
    """Judges answers by a function."""

    name: str
    call: Callable[..., object]
    takes: tuple[str, ...]
    """What it is called with behind the prediction: `gold`, `problem`, or nothing."""
    arguments: Mapping[str, Any]
    """Further ones, by name."""

    def __call__(self, prediction: str, problem: Problem) -> Verdict:
        """The function's verdict; what it raises, or returns that is no verdict, is an error."""
        given = {"gold": problem.gold, "problem": problem}
        try:
            returned = self.call(prediction, *(given[name] for name in self.takes), **self.arguments)
            return as_verdict(returned, self.name, prediction)
        except (Exception, SystemExit) as failure:  # the user's code may raise anything
            return Verdict(False, error=f"{self.name} raised {describe(failure)}")


def load_function(name: str, arguments: Mapping[str, Any] | None = None) -> NamedFunction:
    """Import a function by its dotted name; modules in the working directory are found.

    Raises:
        UserError: it is not there, its module can't be imported, it is no function, or it takes something
            else.
    """
    module, _, function = name.rpartition(".")
    if not all(part.isidentifier() for part in name.split(".")) or not module:
        raise _refused(name, "is no dotted name of a function", "give one such as my_file.my_function")
    found = getattr(_imported(name, module), function, None)
    if found is None:
        raise _refused(name, f"is not there: {module} has no '{function}'", "define it, or name another")
    if isinstance(found, type):
        raise _refused(name, "is a class", "name a function, or let the class extend flowdpo_pl.Verifier")
    if not callable(found):
        raise _refused(name, f"is no function but {type(found).__name__}", "name a function")
    given = dict(arguments or {})
    return NamedFunction(name, found, _takes(name, found, given), given)


def _imported(name: str, module: str) -> object:
    if os.getcwd() not in sys.path:  # as `python -m` has it; last, so that nothing is hidden by it
        sys.path.append(os.getcwd())
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(f"{missing}."):
            raise _refused(
                name,
                f"is not there: no module '{missing}' is found from {os.getcwd()}",
                "look at its spelling",
            ) from error
        raise _refused(name, f"needs the module '{missing}'", "install it") from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise _refused(name, f"can't be imported: {describe(error)}", f"mend {module}") from error


def _takes(name: str, function: Callable[..., object], arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """What it is called with behind the prediction."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError) as error:
        raise _refused(
            name, "does not say what it takes", "wrap it in a function of (prediction, gold)"
        ) from error
    kinds = {parameter.kind for parameter in parameters}
    unknown = arguments.keys() - {parameter.name for parameter in parameters}
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise _refused(name, f"has no parameter '{min(unknown)}'", "mend arguments")
    own = [one for one in parameters if one.name not in arguments]
    by_position = [one for one in own if one.kind in _POSITIONAL]
    if inspect.Parameter.VAR_POSITIONAL in kinds and len(by_position) < 2:
        return ("gold",)
    if not by_position or _is_problem(by_position[0]):
        raise _refused(
            name,
            "does not begin with the prediction",
            "let it take (prediction, gold) or (prediction, problem)",
        )
    second = by_position[1] if len(by_position) > 1 else None
    called = second is not None and (
        second.default is second.empty or second.name == "gold" or _is_problem(second)
    )
    rest = by_position[2 if called else 1 :] + [one for one in own if one.kind is one.KEYWORD_ONLY]
    if left := [one.name for one in rest if one.default is one.empty]:
        raise _refused(
            name,
            f"takes '{left[0]}' too",
            "let it take (prediction, gold) or (prediction, problem), and give it the rest by `arguments`",
        )
    begin = [one.name for one in parameters if one.kind in _POSITIONAL][: 2 if called else 1]
    if set(begin) & arguments.keys():
        raise _refused(
            name,
            f"takes '{min(set(begin) & arguments.keys())}' first",
            "put what `arguments` gives behind the rest",
        )
    if second is None or not called:
        return ()
    return ("problem",) if _is_problem(second) else ("gold",)


def _is_problem(parameter: inspect.Parameter) -> bool:
    """By its name, or by its annotation, which is a text under `from __future__ import annotations`."""
    written = parameter.annotation
    named = isinstance(written, str) and written.rpartition(".")[2].strip("'\"") == Problem.__name__
    return parameter.name == "problem" or written is Problem or named


def _refused(name: str, what: str, mend: str) -> UserError:
    return UserError(f"function is '{name}', which {what}: {mend}.")
