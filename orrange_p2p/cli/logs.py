"""Logs go to stderr, for people or as JSON lines; stdout belongs to the command's result."""

import logging
import sys


class _StderrLogger:
    """Writes to what stderr is at that moment, so that a live view can show logs above itself."""

    def __init__(self, *_name: str) -> None:
        """Every module's logger is alike."""

    def msg(self, message: str) -> None:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = msg


def configure_logs(level: str, *, as_json: bool = False) -> None:
    """Send all logs of this process to stderr.

    Args:
        level: the least that is shown: debug, info, warning or error.
        as_json: one JSON object a line instead of text.
    """
    import structlog

    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=_StderrLogger,
        cache_logger_on_first_use=False,
    )
