"""Names and texts as a table on the screen."""

from __future__ import annotations

from collections.abc import Mapping

from flowdpo_pl.visible import visible_line


def print_rows(title: str, rows: Mapping[str, str]) -> None:
    """Prints a table of names and texts."""
    import rich
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, show_header=False)
    for name, text in rows.items():
        table.add_row(Text(visible_line(name)), Text(visible_line(text)))
    rich.get_console().print(table)
