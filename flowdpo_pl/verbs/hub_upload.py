"""A folder put on the hub: what can fail is asked first, and a dry run asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flowdpo_pl.errors import UserError


@dataclass(frozen=True)
class HubUpload:
    """Where a folder goes."""

    name: str
    """Of the repository; without an owner it is the token's."""
    public: bool = False
    """Whether a repository that is new can be read by everybody."""
    dry_run: bool = False
    """Only say what would be uploaded, without the network."""

    def require_ready(self) -> None:
        """Ask the hub whose token this is, before anything is made.

        Raises:
            UserError: the name is none, or the hub takes no token from here.
        """
        from huggingface_hub import HfApi, errors, get_token
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        try:
            validate_repo_id(self.name)
        except errors.HFValidationError as error:
            raise UserError(f"--push_to_hub {self.name!r} is no name on the hub: give USER/NAME.") from error
        if self.dry_run:
            return
        if get_token() is None:
            raise UserError(
                "--push_to_hub needs a token of the hub: log in by `hf auth login` or set HF_TOKEN; "
                "--dry_run shows what would be uploaded without one."
            )
        failed: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # of the client in use
        try:
            HfApi().whoami()
        except (failed, OSError) as error:
            raise UserError(
                "--push_to_hub: the hub can't be reached, or does not take the token "
                f"({_first_line(error)}): leave it out, or see what would be uploaded by --dry_run."
            ) from error

    def upload(self, folder: Path) -> str:
        """Put the folder's files there, in one commit; what was done in a few lines.

        Raises:
            UserError: the hub refuses; the folder stays.
        """
        from huggingface_hub import HfApi, errors

        if self.dry_run:
            return "\n".join(
                [f"would upload to {self.name} ({self._readers}, if it is new):", *_listed(folder)]
            )
        failed: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # of the client in use
        try:
            api = HfApi()
            place = api.create_repo(self.name, private=not self.public, exist_ok=True)
            api.upload_folder(
                repo_id=place.repo_id, folder_path=folder, commit_message="Export of flowdpo_pl"
            )
        except (failed, OSError) as error:
            raise UserError(
                f"{folder} is written, but the hub does not take it as {self.name} ({_first_line(error)}): "
                f"mend that, then `hf upload {self.name} {folder}`."
            ) from error
        return f"uploaded to {place}"

    @property
    def _readers(self) -> str:
        return "public" if self.public else "private"


def _listed(folder: Path) -> list[str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    names = [file.relative_to(folder).as_posix() for file in files]
    width = max(map(len, names), default=0)
    return [
        f"  {name:<{width}}  {file.stat().st_size:>13,} bytes"
        for name, file in zip(names, files, strict=True)
    ]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
