"""How JSON is laid out in a file, so that it can be read and diffed: one line per short value, node or edge."""

from __future__ import annotations

import json
from typing import Any

from gradflow.printable import inert_json

__all__ = ["layout"]

WIDTH = 120

# a graph has thousands of these: one line each, written by the C encoder
_ROWS = frozenset({"nodes", "edges"})


def layout(value: Any) -> str:
    """JSON text of a value, keys in the order given, printable ASCII only, without a final line end."""
    return inert_json(_layout(value, key="", indent=0))


def _layout(value: Any, *, key: str, indent: int) -> str:
    if not isinstance(value, (dict, list)) or not value:
        return _flat(value)
    inner = indent + 2
    if isinstance(value, dict):
        opening, closing = "{", "}"
        parts = [f"{_flat(name)}: {_layout(entry, key=name, indent=inner)}" for name, entry in value.items()]
    elif key in _ROWS:
        opening, closing = "[", "]"
        parts = [_flat(entry) for entry in value]
    else:
        opening, closing = "[", "]"
        parts = [_layout(entry, key="", indent=inner) for entry in value]
    if key not in _ROWS and not any("\n" in part for part in parts):
        line = opening + ", ".join(parts) + closing
        if indent + len(key) + len(line) + len('"": ,') <= WIDTH:
            return line
    separator = ",\n" + " " * inner
    return opening + "\n" + " " * inner + separator.join(parts) + "\n" + " " * indent + closing


def _flat(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
