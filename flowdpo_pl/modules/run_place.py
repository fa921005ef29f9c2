"""Where a run of the trainer writes, and which checkpoint it means, from its config alone."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_folder import Overwrite

RUNS = "runs"
"""Where runs are written, unless a config says else."""
METRICS_TABLE = "flowdpo_pl.MetricsTable"
DEFAULT_LOGGER: dict[str, Any] = {"class_path": METRICS_TABLE, "init_args": {"save_dir": RUNS, "version": ""}}
_WITH_FOLDER = (METRICS_TABLE, "lightning.pytorch.loggers.TensorBoardLogger")
"""Loggers whose folder is `save_dir/name/version`."""
_OF_LIGHTNING = "lightning.pytorch.loggers.CSVLogger"
"""Begins its file anew when a run is resumed; MetricsTable takes the same arguments and does not."""
_OTHER_WORDS = {
    "hpc": "a checkpoint of Lightning's own for SLURM, which no run here writes",
    "registry": "a model registry, which is not used here",
}


def place(verb: str, config: Namespace) -> Path | None:
    """Give every path of a verb's config its folder, in place; the folder of the run that `fit` writes.

    The run's folder is that of the first logger that has one. Other verbs write into a folder of their name
    below it. None where the logger will number its folders itself.

    Raises:
        UserError: two loggers write the same file.
    """
    trainer = config.trainer
    if trainer.logger in (None, True):
        trainer.logger = Namespace(class_path=METRICS_TABLE, init_args=Namespace(save_dir=RUNS, version=""))
    given = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    loggers = [logger for logger in given if isinstance(logger, Namespace)]
    for logger in loggers:
        if logger.class_path == _OF_LIGHTNING:
            logger.class_path = METRICS_TABLE
    with_folder = [logger.init_args for logger in loggers if logger.class_path in _WITH_FOLDER]
    saving = next((own for own in [*with_folder, *_arguments(loggers)] if own.get("save_dir")), Namespace())
    saved_in = str(saving.get("save_dir") or RUNS)
    if trainer.default_root_dir is None:
        trainer.default_root_dir = str(Path(saved_in, saving.get("name") or ""))
    run = _folder_of(with_folder[0]) if with_folder else Path(trainer.default_root_dir)
    if verb != "fit":
        for own in with_folder:
            own.version = str(Path(_version(own), verb))
        if not with_folder:
            trainer.default_root_dir = str(run / verb if run is not None else Path(saved_in, verb))
    _require_apart([logger for logger in loggers if logger.class_path in _WITH_FOLDER])
    for part in (config.model, config.data):
        if "init_args" in part:  # a class of someone's own may take none
            part.init_args = _filled(part.init_args, "{save_dir}", saved_in)
    return run


def _require_apart(loggers: list[Namespace]) -> None:
    """
    Raises:
        UserError: two loggers of a kind would write the same file.
    """
    places = [(logger.class_path, _folder_of(logger.init_args)) for logger in loggers]
    for kind, folder in places:
        if folder is not None and places.count((kind, folder)) > 1:
            raise UserError(
                f"trainer.logger names two of {kind} that write into {folder}: leave one of them."
            )


def _arguments(loggers: list[Namespace]) -> list[Namespace]:
    return [logger.init_args for logger in loggers if logger.get("init_args")]


def _version(logger: Namespace) -> str:
    """The last part of a logger's folder, "" if it has none or numbers them itself."""
    version = logger.get("version")
    return f"version_{version}" if isinstance(version, int) else str(version or "")


def _folder_of(logger: Namespace) -> Path | None:
    if logger.get("version") is None:
        return None
    return Path(str(logger.save_dir), logger.get("name") or "", _version(logger))


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


def checkpoint_of(given: str, run: Path | None, starts: bool = True) -> Path:
    """The file that a `--ckpt_path` means.

    Args:
        given: a file; a run's folder or its `checkpoints`; or `last` or `best`, those of this run.
        run: this run's folder, None if nobody knows.
        starts: whether the verb trains, which it may do from the start.

    Raises:
        UserError: it is not there, or is no checkpoint.
    """
    word = given.partition(":")[0]
    if word in _OTHER_WORDS:
        raise UserError(f"--ckpt_path={given} asks for {_OTHER_WORDS[word]}: give last, best or a file.")
    if given in ("last", "best"):
        return _of_this_run(given, run, starts)
    path = Path(given).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise UserError(f"--ckpt_path {given} does not exist: give a checkpoint that a run has written.")
    if path.suffix == ".safetensors":
        raise UserError(f"--ckpt_path {given} is an adapter, no checkpoint: {_FOR_ADAPTERS}.")
    if not zipfile.is_zipfile(path):
        raise UserError(f"--ckpt_path {given} is truncated or no checkpoint: use an earlier one.")
    return path


_FOR_ADAPTERS = "set model.team.start.adapters, by agent, to the run's folders such as adapters/last/AGENT"


def _of_this_run(word: str, run: Path | None, starts: bool) -> Path:
    if run is None:
        raise UserError(f"--ckpt_path={word} of which run? Its logger numbers the folders: give the file.")
    path = run / "checkpoints" / f"{word}.ckpt"
    if not path.is_file():
        raise UserError(
            f"--ckpt_path={word}: {path} does not exist; give the file of the run that you mean, such as "
            f"{RUNS}/NAME/checkpoints/{word}.ckpt{', or leave it out to start' if starts else ''}."
        )
    return path


def _in_folder(folder: Path) -> Path:
    for path in (folder / "checkpoints" / "last.ckpt", folder / "last.ckpt"):
        if path.is_file():
            return path
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
    if overwrite is not True and last.is_file() and not last.samefile(checkpoint):
        batches = [_batches(Path(checkpoint)), _batches(last)]
        if batches[0] < batches[1]:
            raise UserError(
                f"{checkpoint} is after {batches[0]} batches, and the run in {run} has gone on to "
                f"{batches[1]}, which would be lost: give --ckpt_path=last, another folder "
                "(--trainer.logger.init_args.name=NAME), or --overwrite."
            )
    return True


def _batches(checkpoint: Path) -> int:
    """Batches learnt from in all."""
    loops = torch.load(checkpoint, weights_only=True, map_location="cpu")["loops"]
    return int(loops["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"])
