"""What a benchmark reports."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value, beside a baseline measured in the same run where there is one.

    `ratio` is value over baseline: it carries over to other machines better than the value does.
    """

    benchmark: str
    figure: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None

    def to_json(self) -> str:
        """One line of JSON, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)


def compared(benchmark: str, figure: str, value: float, unit: str, *, baseline: float) -> Figure:
    """A figure with its baseline and their ratio."""
    return Figure(
        benchmark=benchmark,
        figure=figure,
        value=round(value, 4),
        unit=unit,
        baseline=round(baseline, 4),
        ratio=round(value / baseline, 3),
    )
