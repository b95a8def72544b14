"""Asks a running node over its control socket. Blocks, and needs no event loop: commands start quickly with it.

The messages are those of `control`.
"""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orrange_p2p.errors import ConfigError, OrderError, OrrangeError

MAX_LINE_BYTES = 64 * 1024
MAX_PATH_BYTES = 100


def describe_error(error: OrrangeError) -> dict[str, Any]:
    """An error as JSON: its code and sentence, and for a refused order the field, value and rule."""
    described: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, OrderError):
        described.update(field=error.field, value=str(error.value), rule=error.rule)
    return described


def check_length(path: Path) -> None:
    """Refuse a socket path that the system would cut off.

    Raises:
        ConfigError: it is longer than MAX_PATH_BYTES.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ConfigError(
            f"expected a control socket path of at most {MAX_PATH_BYTES} bytes, was {path}: choose a shorter data "
            "directory"
        )


def call_node(path: Path, method: str, params: Mapping[str, Any], *, timeout_s: int = 30) -> Any:  # noqa: ANN401 - JSON
    """Ask a running node; blocks.

    Args:
        path: its control socket.
        method: what to ask for.
        params: JSON values.
        timeout_s: how long to wait for the answer.

    Returns:
        The result, JSON values.

    Raises:
        ConfigError: no node serves the socket, or it did not answer.
        OrrangeError: the node refused, with its own sentence.
    """
    check_length(path)
    request = json.dumps({"method": method, "params": dict(params)}).encode() + b"\n"
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(request)
            while not answer.endswith(b"\n"):
                piece = connection.recv(MAX_LINE_BYTES)
                if not piece:
                    break
                answer += piece
    except TimeoutError as error:
        raise ConfigError(
            f"the node at {path} did not answer within {timeout_s} s: try again, or look at its log"
        ) from error
    except OSError as error:
        raise ConfigError(f"no node answers at {path}: start it with `orrange node run`") from error
    return read_answer(path, answer)


def read_answer(path: Path, answer: bytes) -> Any:  # noqa: ANN401 - JSON
    """The result in a node's answer.

    Raises:
        ConfigError: the answer was cut off.
        OrrangeError: the node refused, with its own sentence.
    """
    if not answer.endswith(b"\n"):
        raise ConfigError(f"the node at {path} stopped before it had answered: look at its log and start it again")
    decoded = json.loads(answer)
    if decoded["ok"]:
        return decoded["result"]
    described = decoded["error"]
    if described["code"] == OrderError.code:
        raise OrderError(described["field"], described["value"], described["rule"], described["message"])
    refusal = OrrangeError(described["message"])
    refusal.code = described["code"]
    raise refusal
