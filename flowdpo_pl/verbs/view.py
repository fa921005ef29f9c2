"""`view`: a run's trees, or the answers of a `test`, as one page to look at."""

from __future__ import annotations

from pathlib import Path

from flowdpo_pl.view.kept_problems import kept_problems
from flowdpo_pl.view.page import page
from flowdpo_pl.view.selection import Selection, selected
from flowdpo_pl.view.written_page import write_page
from flowdpo_pl.visible import visible_line


def view(
    run: Path,
    output: Path | None = None,
    problems: str | None = None,
    limit: int = 2000,
    megabytes: float = 10.0,
    open: bool = True,
) -> None:
    """Write a page of what a run has played, which needs no network, and open it where there is a display.

    Args:
        run: folder of a run that kept its trees (callbacks.TreeLog), or of a `test`; or one such file.
        output: the page; null: view.html in the run's folder. One that is there is replaced.
        problems: numbers of those to show, such as 1-200 or 1-50,900-; null: all.
        limit: problems on the page, at most; of more, some are taken evenly over the run.
        megabytes: of problems on the page, at most; the same.
        open: open it in a browser, if this is a terminal with a display.
    """
    selection = Selection(problems, limit, megabytes)
    shown = kept_problems(run)
    target = output or (run if run.is_dir() else run.parent) / "view.html"
    chosen = selected(shown, selection)
    text = page(shown, chosen, visible_line(str(run)))
    write_page(text, target, chosen.told, open)
