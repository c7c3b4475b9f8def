"""The how-to pages about errors and notebooks show what gradflow really says: their own code is run.

To write the answers anew: ``GRADFLOW_UPDATE_SNAPSHOTS=1 pytest tests/integration/test_how_to_pages.py``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("torch")

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
IS_DOCUMENTED_VERSION = tuple(map(int, metadata.version("torch").split(".")[:2])) >= (2, 14)
RUNNER = """
import contextlib, io, json
from IPython.core.interactiveshell import InteractiveShell
shell, said = InteractiveShell.instance(), []
for cell in json.load(open("cells.json")):
    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        shell.run_cell(cell, store_history=True)
    said.append(told.getvalue())
json.dump(said, open("said.json", "w"))
"""


def said_by_cells(folder: Path, cells: list[str]) -> list[str]:
    (folder / "cells.json").write_text(json.dumps(cells))
    (folder / "runner.py").write_text(RUNNER)
    environment = {"PATH": "", "IPYTHONDIR": str(folder), "HOME": str(folder)}
    subprocess.run(
        [sys.executable, "-W", "ignore", "runner.py"], cwd=folder, env=environment, check=True, capture_output=True
    )
    return json.loads((folder / "said.json").read_text())


def said_by_program(folder: Path, text: str) -> str:
    (folder / "train.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "train.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stderr[done.stderr.index("error[") :]


def compare(page: Path, answers: list[str]) -> None:
    """The ``text`` blocks of a page are these answers; how long it took is left out of both."""
    written = page.read_text(encoding="utf-8")
    answers = [re.sub(r"; \d+\.\d+ s$", "", answer.rstrip("\n"), flags=re.MULTILINE) + "\n" for answer in answers]
    if os.environ.get("GRADFLOW_UPDATE_SNAPSHOTS"):
        left = iter(answers)
        page.write_text(re.sub(r"```text\n.*?```", lambda _: f"```text\n{next(left)}```", written, flags=re.DOTALL))
    else:
        assert [text for kind, text in BLOCK.findall(written) if kind == "text"] == answers


@pytest.mark.skipif(not IS_DOCUMENTED_VERSION, reason="torch's own messages differ between versions")
def test_the_page_about_errors(tmp_path: Path) -> None:
    page = PAGES / "explain-an-error.md"
    program = next(text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == "python")
    compare(page, [said_by_program(tmp_path, program)])


@pytest.mark.skipif(not IS_DOCUMENTED_VERSION, reason="torch's own messages differ between versions")
def test_the_page_about_notebooks(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    page = PAGES / "explain-in-a-notebook.md"
    cells = [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == "python"]
    said = said_by_cells(tmp_path, cells)
    compare(page, [answer for answer in said if answer])
