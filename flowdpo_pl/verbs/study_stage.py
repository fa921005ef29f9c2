"""A stage of a study: one verb with its config and overrides, and what makes it the same stage again.

Overrides may name other things by placeholders: `{here}` is the stage's own folder, `{seed}` the seed,
`{flow_dpo}` the folder of the earlier stage `flow_dpo`, `{flow_dpo:summary.json:generated_tokens}` a
value in a JSON file of that folder, and any other name one of the study's own values.
"""

from __future__ import annotations

import hashlib
import json
import os.path
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from flowdpo_pl.command_line.environment import from_environment
from flowdpo_pl.command_line.verbs import TRAINER_VERBS
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.foreign_yaml import value_of

Value: TypeAlias = str | int | float | bool | list[str | int | float] | None

_PLACEHOLDER = re.compile(r"\{(?P<name>\w+)(?::(?P<file>[^{}:]+):(?P<key>[^{}:]+))?\}")
_OWN = ("here", "seed")
_OF_THE_TRAINER: dict[str, Value] = {
    "seed_everything": "{seed}",
    "trainer.default_root_dir": "{here}",
    "trainer.logger.init_args.save_dir": "{here}",
    "trainer.logger.init_args.name": "",
    "trainer.logger.init_args.version": "",
}


@dataclass(frozen=True)
class Stage:
    """One verb of this program, or a Python module with a command line of its own."""

    verb: str = ""
    """`fit`, `predict`, `arms`, …; the trainer's verbs get their seed and run folder by themselves."""
    config: str | list[str] | None = None
    """Config file of the verb, or several of which a later one goes behind an earlier one."""
    arguments: dict[str, Value] = field(default_factory=dict)
    """Overrides, by dotted key."""
    module: str = ""
    """In place of a verb: what `python -m` runs, by its dotted name."""

    def __post_init__(self) -> None:
        if bool(self.verb) == bool(self.module):
            raise UserError(
                f"a stage has the verb '{self.verb}' and the module '{self.module}': give one of them."
            )

    @property
    def program(self) -> tuple[str, ...]:
        """What stands behind the interpreter's name and before the arguments."""
        return ("-m", self.module) if self.module else ("-m", "flowdpo_pl", self.verb)

    def with_values(self, values: Mapping[str, Value]) -> Stage:
        """The stage with these values in the places of their names."""

        def named(match: re.Match[str]) -> str:
            known = match["name"] in values and match["file"] is None
            return as_text(values[match["name"]]) if known else match[0]

        def filled(value: Value) -> Value:
            if isinstance(value, list):
                return [_PLACEHOLDER.sub(named, one) if isinstance(one, str) else one for one in value]
            return _PLACEHOLDER.sub(named, value) if isinstance(value, str) else value

        configs = [_PLACEHOLDER.sub(named, config) for config in self.configs]
        arguments = {key: filled(value) for key, value in self.arguments.items()}
        return replace(self, config=configs or None, arguments=arguments)

    @property
    def configs(self) -> list[str]:
        """The config files, in the order of the command line."""
        return self.config if isinstance(self.config, list) else [] if self.config is None else [self.config]

    def settings(self) -> dict[str, Value]:
        """All arguments, placeholders and all."""
        return {**(_OF_THE_TRAINER if self.verb in TRAINER_VERBS else {}), **self.arguments}

    def needs(self) -> frozenset[str]:
        """The stages that it names."""
        return frozenset(match["name"] for match in self._placeholders() if match["name"] not in _OWN)

    def fingerprint(self, seed: int, of_needed: Mapping[str, str]) -> str:
        """Of everything that the stage's result is known to depend on, the code and model folders excepted.

        Args:
            seed: the run's seed.
            of_needed: fingerprints of at least the stages that it needs.

        Raises:
            UserError: a config file does not exist, or is no YAML.
        """
        configs = [_content(Path(config)) for config in self.configs]
        facts = {
            "verb": self.module or self.verb,
            "config": configs,
            "arguments": self.settings(),
            "files": {name: _digest(name) for name in sorted(self._files(configs))},
            "seed": seed,
            "needs": {name: of_needed[name] for name in sorted(self.needs())},
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def arguments_of(
        self, folders: Mapping[str, Path], here: Path, seed: int, planned: bool = False
    ) -> list[str]:
        """The command line after the verb, with placeholders filled in.

        Args:
            folders: of the stages, by name.
            here: the stage's own.
            seed: the run's.
            planned: leave a value that is not there yet as its placeholder.

        Raises:
            UserError: a value of an earlier stage is not there, and none is planned.
        """
        named: dict[str, Path | str] = {**folders, "here": here, "seed": str(seed)}

        def filled(text: str) -> str:
            try:
                return placeholders_filled(text, named)
            except UserError:
                if planned:
                    return text
                raise

        overrides = {key: filled(as_text(value)) for key, value in self.settings().items()}
        return [
            *(f"--config={config}" for config in self.configs),
            *(f"--{key}={value}" for key, value in overrides.items()),
        ]

    def _files(self, configs: Sequence[str]) -> set[str]:
        """The files that the texts of its configs and the arguments name, such as data."""
        of_configs = (
            text
            for name, config in zip(self.configs, configs, strict=True)
            for text in _texts(_read(name, config))
        )
        named = {*of_configs, *_texts(self.arguments)}
        return {text for text in named if os.path.isfile(text)}  # unlike Path's, false for any long text

    def _placeholders(self) -> Iterator[re.Match[str]]:
        for value in self.settings().values():
            yield from _PLACEHOLDER.finditer(as_text(value))


def placeholders_filled(text: str, folders: Mapping[str, Path | str]) -> str:
    """A text with the folders that it names, or with values in their JSON files.

    Raises:
        UserError: it names a stage or a value that is not there.
    """

    def filled(match: re.Match[str]) -> str:
        if match["name"] not in folders:
            raise UserError(f"{text} names '{match['name']}', which is none of the stages {list(folders)}.")
        folder = folders[match["name"]]
        return str(folder) if match["file"] is None else _value(Path(folder) / match["file"], match["key"])

    return _PLACEHOLDER.sub(filled, text)


def _texts(value: object) -> Iterator[str]:
    """All strings in nested mappings and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _digest(file: str) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def as_text(value: Value) -> str:
    """A value as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _content(config: Path) -> str:
    if not config.is_file():
        raise UserError(f"the study names the config {config}, which does not exist (from {Path.cwd()}).")
    try:
        return from_environment(config.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"the config {config} is no UTF-8 text ({error}): unpack or convert it.") from error


def _read(name: str, config: str) -> object:
    try:
        return value_of(config)
    except ValueError as error:
        raise UserError(f"the config {name} is no YAML ({error}): mend it.") from error


def _value(file: Path, key: str) -> str:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{file} has no value '{key}', which a later stage needs: {error!r}.") from error
    return as_text(value)
