"""`report`: what runs of `fit`, or a study, came to, as one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.report.markup import Markup
from flowdpo_pl.report.page import page
from flowdpo_pl.report.reported_run import ReportedRun
from flowdpo_pl.report.study_folder import study_runs, study_tables
from flowdpo_pl.view.selection import Selection
from flowdpo_pl.view.written_page import write_page
from flowdpo_pl.visible import visible_line

NAME = "report.html"


def report(
    runs: list[Path],
    output: Path | None = None,
    problems: str | None = None,
    limit: int = 300,
    megabytes: float = 4.0,
    open: bool = True,
) -> None:
    """Write a page of what runs of `fit` came to, which needs no network; open it where there is a display.

    Args:
        runs: their folders, finished or not; or the folder of a study, for its runs and tables.
        output: the page; null: report.html in the folder of the one run or study, of several in the folder
            that holds the first. One that is there is replaced.
        problems: numbers of those whose trees are on the page, such as 1-200 or 1-50,900-; null: all.
        limit: of each run's trees, at most; of more, some are taken evenly over the run.
        megabytes: of each run's trees, at most; the same.
        open: open it in a browser, if this is a terminal with a display.
    """
    selection = Selection(problems, limit, megabytes)
    given = list(dict.fromkeys(folder.expanduser() for folder in runs))
    if not given:
        raise UserError("there is no run to report: give the folder of one, such as runs/quickstart.")
    studies = {folder: found for folder in given if (found := study_runs(folder))}
    folders = [place for folder in given for place in studies.get(folder, [folder])]
    names = _names(folders)
    read = [ReportedRun.at(folder, name) for folder, name in zip(folders, names, strict=True)]
    tables = Markup("".join(study_tables(folder) for folder in studies))
    target = output or (given[0] if len(given) == 1 else given[0].parent) / NAME
    title = visible_line(str(given[0]) if len(given) == 1 else some_of(names, 4))
    text = page(title, read, tables, selection, target)
    told = "1 run" if len(read) == 1 else f"{len(read)} runs"
    write_page(text, target, told, open)


def _names(folders: Sequence[Path]) -> list[str]:
    """As short as tells them apart: the folders' own names, or so many of those above them too."""
    parts = [folder.resolve().parts for folder in folders]
    if len(folders) == 1:
        return [visible_line(str(folders[0]))]
    for length in range(1, max(map(len, parts)) + 1):
        names = [visible_line("/".join(one[-length:])) for one in parts]
        if len(set(names)) == len(names):
            return names
    return [visible_line(str(folder)) for folder in folders]
