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


def print_pairs(rows: Mapping[str, str]) -> None:
    """Names and values, one pair a line, and a further line for each further line of a value.

    Values are never folded: a terminal wraps them by itself, and they can be copied whole.
    """
    from rich.text import Text

    out = console()
    width = max(map(len, rows), default=0) + 2
    for name, value in rows.items():
        for number, line in enumerate(value.split("\n")):
            shown = Text("" if number else name, style="bold").append(" " * (width - (0 if number else len(name))))
            out.print(shown.append(line, style="not bold"), soft_wrap=True)


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
