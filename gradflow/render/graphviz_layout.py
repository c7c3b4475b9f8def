"""Runs Graphviz: the ``dot`` program where it is installed, else the library inside pygraphviz."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from gradflow.errors import RenderError

__all__ = ["run_graphviz"]

TIMEOUT_S = 20.0

# The library runs in a process of its own: it prints warnings to the terminal, cannot be stopped, and a crash in it
# would take the user's process along.
_LIBRARY = """
import sys
from pygraphviz import AGraph
graph = AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""


def run_graphviz(source: str, output_format: str, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """Lay out ``source`` (in the DOT language) and draw it.

    Parameters
    ----------
    output_format
        ``"svg"``, ``"png"`` or ``"pdf"``.

    Raises
    ------
    RenderError
        When there is no Graphviz, it fails, or it takes longer than ``timeout_s`` seconds.
    """
    command = _command(output_format)
    try:
        finished = subprocess.run(  # noqa: S603 - no part of the command comes from the report
            command, input=source.encode(), capture_output=True, timeout=timeout_s, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired as error:
        raise RenderError(
            f"Graphviz did not finish drawing within {timeout_s:g} seconds",
            hint="save the graph as `.dot` and draw it with other settings, for example `sfdp -Tsvg graph.dot`",
        ) from error
    except OSError as error:
        raise RenderError(
            f"Graphviz could not be started: {error}", hint="reinstall Graphviz, or save as `.dot`"
        ) from error
    if finished.returncode != 0 or not finished.stdout:
        raise RenderError(
            f"Graphviz could not draw the graph as {output_format}",
            note=_last_line(finished.stderr),
            hint="`pip install --force-reinstall pygraphviz` brings a whole Graphviz; saving as `.dot` needs none",
        )
    return finished.stdout


def _command(output_format: str) -> list[str]:
    program = shutil.which("dot")
    if program is not None:
        return [program, f"-T{output_format}"]
    return [sys.executable, "-P", "-c", _LIBRARY, output_format]


def _environment() -> dict[str, str]:
    """The user's environment, in which numbers are written with a point whatever the language."""
    return {**os.environ, "LC_NUMERIC": "C"}


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it gave no reason"
