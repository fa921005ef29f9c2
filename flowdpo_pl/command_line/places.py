"""The tree of a verb's keys: what may stand at each place, given the classes that are named there."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowdpo_pl.command_line.definitions import Definition, Parameter, Signature, class_at, exported
from flowdpo_pl.command_line.given import CLASS
from flowdpo_pl.command_line.kinds import UNKNOWN, Kind, default_class, kind_of
from flowdpo_pl.command_line.verbs import Verb

OWN_PACKAGES = ("flowdpo_pl", "callbacks")
"""Whose classes may be named without their package."""
_LIGHTNING = "lightning.pytorch"
LIGHTNING_PACKAGES = (f"{_LIGHTNING}.loggers", f"{_LIGHTNING}.callbacks")
"""Whose classes may be named without it too."""
LOGGER = "flowdpo_pl.MetricsTable"
"""The trainer's logger, unless a config says else."""
_NOT_SETTINGS = {"self", "model", "train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}
_SEED_MEANS = "of every draw: the module's seed and the data's"
_RUN = "run"
"""The argument of a verb that looks ahead which takes the words of a run."""
_DEEP = 8
"""Keys below keys, at most: more than there are."""


@dataclass(frozen=True)
class Place:
    """A key, what may stand there, and what is given."""

    key: str
    """Dotted, from the verb on; empty for the root."""
    kind: Kind
    given: Any = None
    """What the command line and its configs say here, flattened."""
    fallback: Definition | None = None
    """The class of the default."""
    parameter: Parameter | None = None
    fixed: Mapping[str, Place] = field(default_factory=dict)
    """What the root holds."""

    @property
    def owner(self) -> Definition | None:
        """The class whose settings stand below this key; None where it is not known."""
        given = self.given[-1] if isinstance(self.given, list) and self.given else self.given
        named = given if isinstance(given, str) else None
        if isinstance(given, Mapping):
            named = given.get(CLASS)
        if isinstance(named, str) and self.kind.owner is not None:
            return class_at(whole_path(named))
        if self.fallback is not None:
            return self.fallback
        return self.kind.owner if self.kind.owner is not None and self.kind.owner.is_dataclass else None

    @property
    def is_unset_by_nothing(self) -> bool:
        """Whether an empty text means null: for optional settings of ours; Lightning's means what it says."""
        home = self.parameter.home.partition(".")[0] if self.parameter is not None else ""
        return self.kind.may_be_null and home in OWN_PACKAGES

    def children(self) -> dict[str, Place]:
        """The keys below this one that are known."""
        if self.fixed:
            return dict(self.fixed)
        if self.kind.values is not None and isinstance(self.given, Mapping):
            return {key: self._below(key, self.kind.values) for key in self.given if key != CLASS}
        signature = self._signature()
        return {
            parameter.name: self._below(
                parameter.name, kind_of(parameter), self._default_class(parameter), parameter
            )
            for parameter in (signature.parameters if signature else ())
        }

    def knows_all(self) -> bool:
        """Whether there are no other keys than the children."""
        if self.fixed:
            return True
        if self.kind.values is not None or self.kind.unknown:
            return False
        signature = self._signature()
        return signature is not None and not signature.open

    def child(self, key: str) -> Place | None:
        """One key below; None if it is not known."""
        found = self.children().get(key)
        if found is None and self.kind.values is not None:
            return self._below(key, self.kind.values)
        return found

    def item(self, number: int, value: object) -> Place:
        """A place in a list; its key has the name of the class that stands there."""
        kind = self.kind.items or UNKNOWN
        named = value.get(CLASS) if isinstance(value, Mapping) else None
        name = named.rpartition(".")[2] if isinstance(named, str) else str(number)
        return Place(f"{self.key}.{name}", kind, value)

    def at(self, keys: list[str]) -> Place | None:
        """The place that dotted keys lead to; None if it is not known."""
        place: Place | None = self
        for key in keys:
            if key in ("init_args", CLASS) or place is None:
                continue
            place = place.child(key)
        return place

    def leaves(self, depth: int = _DEEP) -> Iterator[Place]:
        """All places below, in the order of their classes."""
        for child in self.children().values():
            inner = list(child.leaves(depth - 1)) if depth else []
            yield from inner or [child]

    def _signature(self) -> Signature | None:
        owner = self.owner
        return owner.signature() if owner is not None else None

    def _default_class(self, parameter: Parameter) -> Definition | None:
        if self.key == "trainer" and parameter.name == "logger":
            return class_at(LOGGER)
        return default_class(parameter)

    def _below(
        self, key: str, kind: Kind, fallback: Definition | None = None, parameter: Parameter | None = None
    ) -> Place:
        given = self.given.get(key) if isinstance(self.given, Mapping) else None
        return Place(f"{self.key}.{key}" if self.key else key, kind, given, fallback, parameter)


_SEED = Place(
    "seed_everything",
    Kind(frozenset({"int", "bool"})),
    parameter=Parameter("seed_everything", "", None, ast.Constant(0), _SEED_MEANS),
)


_OVERWRITE_MEANS = "replace the run that is in the folder; same: only one of the same settings"
_OVERWRITE = Place(
    "overwrite",
    Kind(frozenset({"bool"}), unknown=True),
    parameter=Parameter("overwrite", "", None, ast.Constant(False), _OVERWRITE_MEANS),
)

_RUN_MEANS = "folder of a finished `fit`, whose agents and verifier are taken; what is given beside it wins"
_WHICH_MEANS = "adapters of that run: last, best, or another name in its `adapters`"
_OF_RUN = (
    Place("run", UNKNOWN, parameter=Parameter("run", "", None, ast.Constant(None), _RUN_MEANS)),
    Place("which", UNKNOWN, parameter=Parameter("which", "", None, ast.Constant("last"), _WHICH_MEANS)),
)


def whole_path(name: str) -> str:
    """The dotted path of a class of ours that is named without its package; other names as they are."""
    if name.isidentifier():
        for package in OWN_PACKAGES:
            if name in exported(package):
                return f"{package}.{name}"
    return name


def root_of(verb: Verb, given: Mapping[str, Any]) -> Place:
    """The tree of all keys of a verb."""
    if not verb.takes_a_run:
        return _with_parser_s_own(_of_the_function(verb, given))
    data = "flowdpo_pl.PromptDataModule"
    model = _at(verb.module, "model", "core.module.LightningModule", given)
    if model.owner is not None and model.owner.name == "SFTModule":
        data = "flowdpo_pl.TraceDataModule"
    trainer = class_at(f"{_LIGHTNING}.trainer.trainer.Trainer")
    method = "fit" if verb.looks_ahead else verb.of_trainer
    of_verb = next(
        (part for part in (trainer.node.body if trainer else ()) if getattr(part, "name", "") == method),
        None,
    )
    own = _of_the_function(verb, given).children() if verb.looks_ahead else {}
    places = [
        model,
        _at(data, "data", "core.datamodule.LightningDataModule", given),
        _SEED,
        _OVERWRITE,
        *(_OF_RUN if verb.of_run else ()),
        *(place for key, place in own.items() if key != _RUN),
        *(_of_the_verb(Definition(trainer.home, of_verb)) if trainer and of_verb else ()),  # type: ignore[arg-type]
        Place("trainer", Kind(owner=trainer, unknown=trainer is None), given.get("trainer"), trainer),
        Place("optimizer", UNKNOWN),
        Place("lr_scheduler", UNKNOWN),
    ]
    return _with_parser_s_own(Place("", Kind(), given, fixed={place.key: place for place in places}))


def _of_the_function(verb: Verb, given: Mapping[str, Any]) -> Place:
    """The arguments of a verb that is a function of its own."""
    function = class_at(f"flowdpo_pl.verbs.{verb.name}.{verb.name}")
    assert function is not None
    return Place("", Kind(owner=function), given, function)


def own_keys(verb: Verb) -> tuple[str, ...]:
    """The keys of the verb's own function."""
    return tuple(name for name in _of_the_function(verb, {}).children() if name != _RUN)


def _at(default: str, key: str, base: str, given: Mapping[str, Any]) -> Place:
    kind = Kind(owner=class_at(f"{_LIGHTNING}.{base}") or class_at(default))
    return Place(key, kind, given.get(key), class_at(default))


def _of_the_verb(method: Definition) -> Iterator[Place]:
    """The arguments of the trainer's method, such as `ckpt_path`."""
    signature = method.signature()
    for parameter in signature.parameters if signature else ():
        if parameter.name not in _NOT_SETTINGS:
            yield Place(parameter.name, kind_of(parameter), parameter=parameter)


def _with_parser_s_own(root: Place) -> Place:
    own = {name: Place(name, UNKNOWN) for name in ("config", "help", "print_config")}
    return replace(root, fixed={**root.children(), **own})
