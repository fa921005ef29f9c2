"""Where a run of the trainer writes, and which checkpoint it means, from its config alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_warn

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.run_logger import RUNS
from flowdpo_pl.results.checkpoint_files import held_by, is_whole, newest_whole
from flowdpo_pl.results.run_folder import Overwrite

METRICS_TABLE = "flowdpo_pl.MetricsTable"
DEFAULT_LOGGER: dict[str, Any] = {"class_path": METRICS_TABLE}
OURS_FOR = {
    "lightning.pytorch.loggers.CSVLogger": METRICS_TABLE,
    "lightning.pytorch.loggers.TensorBoardLogger": "flowdpo_pl.TensorBoard",
    "lightning.pytorch.loggers.WandbLogger": "flowdpo_pl.WeightsAndBiases",
}
"""Loggers of Lightning, and ours in their place: in the run's folder, by problems, carried on by a resume."""
_OTHER_WORDS = {
    "hpc": "a checkpoint of Lightning's own for SLURM, which no run here writes",
    "registry": "a model registry, which is not used here",
}


def place(verb: str, config: Namespace) -> Path:
    """Give every path of a verb's config its folder, in place; the folder of the run that `fit` writes.

    All our loggers write into one folder, the run's; of each of its parts the last that one of them says
    counts. Other verbs write into a folder of their name below it.

    Raises:
        UserError: two loggers write the same file.
    """
    trainer = config.trainer
    if trainer.logger in (None, True):
        trainer.logger = Namespace(class_path=METRICS_TABLE)
    given = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    loggers = [logger for logger in given if isinstance(logger, Namespace)]
    for logger in loggers:
        logger.init_args = logger.get("init_args") or Namespace()
    ours = [logger for logger in loggers if logger.class_path in OURS_FOR.values()]
    _require_apart(ours)
    folder = _folder([logger.init_args for logger in ours or loggers[:1]])
    run = _joined(folder)
    if trainer.default_root_dir is None:
        trainer.default_root_dir = str(Path(folder["save_dir"], folder["name"]))
    if not ours:
        run = Path(trainer.default_root_dir)
    if verb != "fit":
        folder["version"] = str(Path(_version(folder["version"]), verb))
        if not ours:
            trainer.default_root_dir = str(run / verb)
    for logger in ours:
        logger.init_args.update(Namespace(folder))
    for part in (config.model, config.data):
        if "init_args" in part:  # a class of someone's own may take none
            part.init_args = _filled(part.init_args, "{save_dir}", folder["save_dir"])
    return run


def _require_apart(loggers: list[Namespace]) -> None:
    """
    Raises:
        UserError: two loggers of a kind would write the same file.
    """
    kinds = [logger.class_path for logger in loggers]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise UserError(f"trainer.logger names {kind} twice, which would write the same file: leave one.")


def _folder(loggers: list[Namespace]) -> dict[str, Any]:
    """The parts of a folder, each as the last logger that says it has it."""
    folder: dict[str, Any] = {"save_dir": RUNS, "name": "", "version": ""}
    for own in loggers:
        folder |= {part: own.get(part) for part in folder if own.get(part) is not None}
    return {**folder, "save_dir": str(folder["save_dir"])}


def _joined(folder: dict[str, Any]) -> Path:
    return Path(folder["save_dir"], folder["name"], _version(folder["version"]))


def _version(version: str | int) -> str:
    return f"version_{version}" if isinstance(version, int) else version


def _filled(value: Any, placeholder: str, text: str) -> Any:
    """A value of a config, with the placeholder in all its texts filled in."""
    if isinstance(value, str):
        return value.replace(placeholder, text)
    if isinstance(value, list):
        return [_filled(inner, placeholder, text) for inner in value]
    if isinstance(value, dict):
        return {key: _filled(inner, placeholder, text) for key, inner in value.items()}
    if isinstance(value, Namespace):
        return Namespace(_filled(vars(value), placeholder, text))
    return value


def checkpoint_of(given: str, run: Path, starts: bool = True) -> Path | None:
    """The file that a `--ckpt_path` means; None where it means the start.

    Args:
        given: a file; a run's folder or its `checkpoints`; `last` or `best`, those of this run; or `auto`,
            the last one if there is one, for a command that a launcher repeats.
        run: this run's folder.
        starts: whether the verb trains, which it may do from the start.

    Raises:
        UserError: it is not there, or is no checkpoint.
    """
    word = given.partition(":")[0]
    if word in _OTHER_WORDS:
        raise UserError(f"--ckpt_path={given} asks for {_OTHER_WORDS[word]}: give last, best or a file.")
    if given in ("last", "best", "auto"):
        found = _of_this_run(given, run, starts)
        return None if found is None else _plain(found)
    path = Path(given).expanduser()
    if path.is_dir():
        return _plain(_in_folder(path))
    if not path.is_file():
        raise UserError(f"--ckpt_path {given} does not exist: give a checkpoint that a run has written.")
    if path.suffix == ".safetensors":
        raise UserError(f"--ckpt_path {given} is an adapter, no checkpoint: {_FOR_ADAPTERS}.")
    if not is_whole(path):
        raise UserError(f"--ckpt_path {given} is truncated, spoilt or no checkpoint: use an earlier one.")
    return _plain(path)


_FOR_ADAPTERS = "set model.team.start.adapters, by agent, to the run's folders such as adapters/last/AGENT"


def _plain(path: Path) -> Path:
    """The checkpoint, which can be read without running code, and which a trainer has written.

    Raises:
        UserError: see `held_by`; or it is something else that torch has saved.
    """
    held = held_by(path)
    for name, kind in (("state_dict", dict), ("pytorch-lightning_version", str)):
        if not isinstance(held.get(name), kind):
            raise UserError(
                f"{path} is no checkpoint of a run, it has no {name}: give one that a run here has written."
            )
    return path


def _of_this_run(given: str, run: Path, starts: bool) -> Path | None:
    word = "last" if given == "auto" else given
    path = run / "checkpoints" / f"{word}.ckpt"
    found = _newest(path) if word == "last" else path if is_whole(path) else None
    if found is not None:
        return found
    if path.is_file():
        raise UserError(
            f"--ckpt_path={given}: {path} is truncated or spoilt, and no other is whole: start anew."
        )
    if given == "auto" and starts:
        return None
    raise UserError(
        f"--ckpt_path={given}: {path} does not exist; give the file of the run that you mean, such as "
        f"{RUNS}/NAME/checkpoints/{word}.ckpt{', or leave it out to start' if starts else ''}."
    )


def _newest(last: Path) -> Path | None:
    """`last.ckpt`, or the newest one before it, which is said, where that is missing or spoilt; None: none is
    whole.
    """
    found = newest_whole(last.parent)
    if found not in (None, last):
        what = "is truncated or spoilt" if last.is_file() else "is not there"
        rank_zero_warn(f"{last} {what}: {found.name}, the newest whole checkpoint, is taken.")
    return found


def _in_folder(folder: Path) -> Path:
    for path in (folder / "checkpoints" / "last.ckpt", folder / "last.ckpt"):
        if (found := _newest(path)) is not None:
            return found
        if path.is_file():
            raise UserError(f"{path} is truncated or spoilt, and no other is whole: give another run.")
    if any(next(folder.glob(f"{below}adapter_config.json"), None) for below in ("", "*/", "*/*/")):
        raise UserError(f"--ckpt_path {folder} is a folder of adapters, no checkpoint: {_FOR_ADAPTERS}.")
    raise UserError(f"--ckpt_path {folder} is a folder without checkpoints: give a file, or a run's folder.")


def require_newest(checkpoint: str | None, run: Path, overwrite: Overwrite) -> bool:
    """Whether a run that goes on from `checkpoint` goes on in its own folder `run`.

    Raises:
        UserError: it would, but from an earlier point than that of the folder's last checkpoint.
    """
    if checkpoint is None or Path(checkpoint).resolve().parent != (run / "checkpoints").resolve():
        return False
    last = run / "checkpoints" / "last.ckpt"
    if overwrite is not True and is_whole(last) and not last.samefile(checkpoint):
        batches = [_batches(Path(checkpoint)), _batches(last)]
        if batches[0] < batches[1]:
            raise UserError(
                f"{checkpoint} is after {batches[0]} batches, and the run in {run} has gone on to "
                f"{batches[1]}, which would be lost: give --ckpt_path=last, another folder "
                "(--trainer.logger.init_args.name=NAME), or --overwrite."
            )
    return True


def _batches(checkpoint: Path) -> int:
    """Batches learnt from in all.

    Raises:
        UserError: it does not say.
    """
    try:
        progress = held_by(checkpoint)["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        return int(progress["total"]["completed"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{checkpoint} does not say after how many batches it was written: give one of a run of `fit`."
        ) from error
