"""Run one benchmark: `python -m tests.benchmarks NAME [--json]`."""

import importlib
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Figure

NAMES = ("codec", "signatures", "epoch", "engine", "rbsr", "gossip", "reputation", "prune")


def main(arguments: list[str]) -> int:
    """Run the benchmark that `arguments` name; returns the exit code."""
    names = [argument for argument in arguments if argument != "--json"]
    if len(names) != 1 or names[0] not in NAMES:
        sys.stderr.write(f"expected one benchmark of {', '.join(NAMES)}, was {' '.join(names) or 'none'}\n")
        return 2
    figures: Iterable[Figure] = importlib.import_module(f"tests.benchmarks.{names[0]}").run()
    if "--json" in arguments:
        for figure in figures:
            sys.stdout.write(figure.to_json() + "\n")
            sys.stdout.flush()
    else:
        Console().print(make_table(names[0], figures))
    return 0


def make_table(name: str, figures: Iterable[Figure]) -> Table:
    """The figures as people read them."""
    table = Table(title=name)
    table.add_column("figure")
    for column in ("value", "baseline"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    table.add_column("ratio", justify="right")
    for figure in figures:
        table.add_row(
            figure.figure, _shown(figure.value), _shown(figure.baseline), figure.unit, _shown(figure.ratio, "x")
        )
    return table


def _shown(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    return f"{value:,.0f}{unit}" if abs(value) >= 1000 else f"{value:.3g}{unit}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
