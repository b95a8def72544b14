"""Writes the configuration files of nodes and networks, which `config` and `network` read."""

from collections.abc import Iterator, Mapping
from typing import Any

from orrange_p2p.config import NodeConfig

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\x7f": "\\u007F"} | {chr(code): f"\\u{code:04X}" for code in range(32)}


def node_toml(config: NodeConfig, *, comment: str = "") -> str:
    """The configuration as TOML.

    Args:
        config: what to write.
        comment: one line that stands at the top.
    """
    return settings_toml(config.model_dump(mode="json", exclude_none=True), comment=comment)


def settings_toml(settings: Mapping[str, Any], *, comment: str = "") -> str:
    """Settings as TOML: text, numbers, truth values, lists, and tables of such.

    Args:
        settings: what to write, by name.
        comment: one line that stands at the top.
    """
    head = [f"# {comment}"] if comment else []
    return "\n".join([*head, *_table(settings, "")]) + "\n"


def _table(settings: Mapping[str, Any], name: str) -> Iterator[str]:
    """Plain values first, then the tables below, as TOML wants it."""
    tables: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) or (isinstance(value, list) and value and isinstance(value[0], Mapping)):
            tables[f"{name}.{key}" if name else key] = value
        else:
            yield f"{key} = {_value(value)}"
    for key, value in tables.items():
        for one in value if isinstance(value, list) else (value,):
            yield ""
            yield f"[[{key}]]" if isinstance(value, list) else f"[{key}]"
            yield from _table(one, key)


def _value(value: object) -> str:
    if isinstance(value, str):
        return '"' + "".join(_ESCAPES.get(letter, letter) for letter in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
