"""Tables for people, JSON lines for scripts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    typer.echo(json.dumps(value))


def console() -> "Console":
    """Where tables go: stdout, without guessed colours inside text."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def pairs_table(rows: Mapping[str, str]) -> "Table":
    """Names and values, one pair a line."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> "Table":
    """Rows under headers; a header that starts with `>` stands over right-aligned numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        is_number = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def short_id(text: str) -> str:
    """The first ten hex digits of an id; enough for `orrange order cancel`."""
    return text[:12]
