"""Workflow commands that make GitHub show a finding at the line of the model that is to blame."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gradflow.printable import inert

__all__ = ["error_commands"]


def error_commands(findings: Iterable[dict[str, Any]], root: Path) -> Iterator[str]:
    """``::error file=net.py,line=7,...::message`` for each place, once; paths are relative to the repository."""
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or root)
    seen = set()
    for finding in findings:
        if "line" not in finding or "reason" not in finding:
            continue
        path = Path(finding["path"])
        shown = path.relative_to(workspace) if path.is_relative_to(workspace) else path
        properties = {"file": shown.as_posix(), "line": finding["line"], "title": f"gradflow {finding['code']}"}
        if finding["column"] is not None:
            properties["col"] = finding["column"]
        written = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
        line = f"::error {written}::{_data(finding['message'])}"
        if line not in seen:
            seen.add(line)
            yield line


def _data(text: str) -> str:
    return inert(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
