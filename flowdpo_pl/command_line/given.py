"""What a command line and its config files give, as nested mappings; files are read once, nothing is built.

In such a mapping `init_args` stands one level up, beside `class_path`: keys are as they are typed
(`model.learning.lr`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.command_line.environment import from_environment
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.foreign_yaml import value_of
from flowdpo_pl.suggestions import near_path
from flowdpo_pl.yaml_depth import MOST, is_too_deep
from flowdpo_pl.yaml_keys import require_single_keys

CLASS = "class_path"


@dataclass(frozen=True)
class Argument:
    """One argument: `--key=value`, `--key value`, or a word by position, whose key is empty."""

    key: str
    """Dotted, without dashes; an appended one ends in `+`."""
    value: str | None
    """None: the key stands alone."""

    def written(self) -> str:
        if not self.key:
            return self.value or ""
        return f"--{self.key}" if self.value is None else f"--{self.key}={self.value}"


def arguments_of(words: Sequence[str]) -> list[Argument]:
    """The words after the verb as arguments."""
    found: list[Argument] = []
    rest = iter(words)
    for word in rest:
        if word in ("-h", "-c"):
            word = {"-h": "--help", "-c": "--config"}[word]
        if not word.startswith("--"):
            if found and found[-1].key and found[-1].value is None and found[-1].key != "help":
                found[-1] = Argument(found[-1].key, word)
            else:
                found.append(Argument("", word))
            continue
        key, equals, value = word.removeprefix("--").partition("=")
        found.append(Argument(key, value if equals else None))
    return found


def config_files(arguments: Sequence[Argument]) -> Iterator[str]:
    """The config files that are named, in their order."""
    for argument in arguments:
        if argument.key == "config" and argument.value is not None:
            yield argument.value


def read_config(name: str) -> Any:
    """A config file as its plain content, or one that is given in place as YAML.

    Raises:
        UserError: it does not exist, is no YAML or has a key twice.
    """
    path = Path(name).expanduser()
    try:
        exists = path.is_file()
    except OSError:  # a long text
        exists = False
    if not exists:
        if is_in_place(name):
            return _in_place(name)
        raise UserError(f"--config {name} does not exist (looked from {Path.cwd()}): {_near_file(path)}")
    try:
        text = from_environment(path.read_text(encoding="utf-8"))
        require_single_keys(text)
        return value_of(text)
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        where = " ".join(str(error).split())
        raise UserError(f"--config {name} is no YAML ({where}): mend it.") from error


def is_in_place(config: str) -> bool:
    """Whether it is no file's name but YAML itself."""
    return "\n" in config or ":" in config or config.startswith("{")


def _in_place(config: str) -> Any:
    import yaml

    if is_too_deep(config):
        raise UserError(f"--config is nested deeper than {MOST} values: mend it.")
    try:
        return yaml.load(config, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return {}  # the parser says what is wrong with it


def _near_file(path: Path) -> str:
    near = near_path(path, lambda file: file.suffix in (".yaml", ".yml"))
    return f"did you mean {near}?" if near else "name a YAML file."


def flattened(value: Any) -> Any:
    """The same with `init_args` one level up."""
    if isinstance(value, Mapping):
        inner = (
            value.get("init_args") if CLASS in value or set(value) <= {"init_args", "dict_kwargs"} else None
        )
        own = {
            str(key): flattened(part) for key, part in value.items() if key != "init_args" or inner is None
        }
        return merged(own, flattened(inner)) if isinstance(inner, Mapping) else own
    return [flattened(part) for part in value] if isinstance(value, list) else value


def merged(before: Any, after: Any) -> Any:
    """What is given when `after` comes behind `before`."""
    if isinstance(before, Mapping) and isinstance(after, str):
        return {**before, CLASS: after}
    if isinstance(before, str) and isinstance(after, Mapping):
        return {CLASS: before, **after}
    if isinstance(before, list) and before and isinstance(after, Mapping) and CLASS not in after:
        return [*before[:-1], merged(before[-1], after)]  # a key below a list is of its last entry
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return {**before, **{key: merged(before.get(key), value) for key, value in after.items()}}
    return after


def read_value(value: str) -> Any:
    """A value of the command line: a mapping or list in YAML, flattened, or the text itself."""
    import yaml

    if not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return flattened(yaml.safe_load(value))
    except yaml.YAMLError:
        return value  # the parser says what is wrong with it


def nested(argument: Argument) -> Any:
    """What one argument gives, as a mapping."""
    inner: Any = read_value(argument.value or "")
    for key in reversed(argument.key.removesuffix("+").split(".")):
        inner = inner if key == "init_args" else {key: inner}
    return inner


def given_by(arguments: Sequence[Argument]) -> dict[str, Any]:
    """All that is given: config files and keys, in their order.

    Raises:
        UserError: a config file cannot be read.
    """
    together: dict[str, Any] = {}
    for argument in arguments:
        together = with_argument(together, argument)
    return together


def with_argument(before: dict[str, Any], argument: Argument) -> dict[str, Any]:
    """What is given when one more argument comes behind.

    Raises:
        UserError: it is a config file that cannot be read.
    """
    after: Any = {}
    if argument.key == "config" and argument.value is not None:
        content = read_config(argument.value)
        after = flattened(content) if isinstance(content, Mapping) else {}
    elif argument.key and argument.value is not None:
        after = nested(argument)
        if argument.key.endswith("+"):
            after = _appended(before, after)
    together: dict[str, Any] = merged(before, after)
    return together


def _appended(before: Any, after: Any) -> Any:
    """What `KEY+=` gives: the list that was there with one more entry, or the entry where there was none."""
    if isinstance(after, Mapping) and isinstance(before, Mapping):
        return {key: _appended(before.get(key), value) for key, value in after.items()}
    return [*before, *(after if isinstance(after, list) else [after])] if isinstance(before, list) else after
