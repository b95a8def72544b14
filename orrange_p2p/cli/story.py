"""Shows a demonstration that tells a story step by step: live for a person, one object for a program."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import typer

from orrange_p2p.cli.failure import FAILED, INTERRUPTED, Ending
from orrange_p2p.cli.output import print_json

Step = Mapping[str, Any]


class StoryReport(Protocol):
    """What a demonstration came to."""

    @property
    def is_good(self) -> bool:
        """Whether all went as it should."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        ...


_Report = TypeVar("_Report", bound=StoryReport)
Tell = Callable[[str], None]


def show_story(
    run: Callable[[Tell, Callable[[Step], None]], Awaitable[_Report]],
    *,
    step_line: Callable[[Step], str],
    print_report: Callable[[_Report], None],
    stopped: str,
    as_json: bool,
) -> int:
    """Run a demonstration and print what it came to.

    Args:
        run: it, given whom to tell of what happens now and of each step.
        step_line: a step in words.
        print_report: prints the report for a person.
        stopped: what Ctrl-C has stopped.
        as_json: one JSON object on one line instead; steps then go to stderr, if a person sees it.

    Returns:
        The exit code: 0 only if all went as it should.
    """
    import trio

    from orrange_p2p.launch.process import stopping_on_signals

    is_silent = as_json and not sys.stderr.isatty()

    def show(line: str) -> None:
        if not is_silent:
            typer.echo(line, err=as_json)

    async def tell_all() -> _Report | None:
        async with stopping_on_signals():
            return await run(show, lambda step: show(f"  {step_line(step)}"))
        return None

    report = trio.run(tell_all)
    if report is None:
        Ending(as_json=as_json).tell(
            f"interrupted: {stopped}, nothing keeps running", {"code": "interrupted", "message": "interrupted"}
        )
        return INTERRUPTED
    if as_json:
        print_json(report.as_json())
    else:
        print_report(report)
    return 0 if report.is_good else FAILED
