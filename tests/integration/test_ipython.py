"""``%%gradflow`` and ``%gradflow`` in a real IPython, of which each cell's output is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("IPython")

CELLS = {
    "load": "%load_ext gradflow",
    "model": "import torch\nfrom torch import nn\nmodel = nn.Linear(3, 2)\nx = torch.randn(4, 3)",
    "healthy": "%%gradflow\nout = model(x)\nout.sum().backward()\nmodel.weight.grad.shape",
    "silenced": "%%gradflow --quiet\nmodel.weight.grad.shape;",
    "broken": "%%gradflow\nout = model(x)\n\nloss = out.detach().sum()\nloss.backward()",
    "report": "gradflow_report.diagnostics[0].name",
    "first": "logits = model(x)",
    "second": "loss = torch.tensor(logits.sum().item())",
    "plain": "loss.backward()",
    "explain": "%gradflow",
    "on": "%gradflow on",
    "explained": "loss.backward()",
    "other": "1 / 0",
    "off": "%gradflow off",
    "unexplained": "loss.backward()",
    "statement": "%gradflow --steps 1 model(x).sum().backward()",
    "shown": "import gradflow\ntry:\n    loss.backward()\nexcept RuntimeError as error:\n    kept = error\n"
    "gradflow.explain_last_error(kept)",
    "option": "%%gradflow --stps 3\n1",
    "waits": "%%gradflow\nawait something()",
    "block": "with gradflow.explain():\n    model(x).sum().backward()",
    "unload": "%unload_ext gradflow",
    "gone": "%gradflow",
}

RUNNER = """
import contextlib, io, json, re, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("colors", "nocolor")
found = {}
for name, cell in json.load(open(sys.argv[1])).items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        number = shell.execution_count
        result = shell.run_cell(cell, store_history=True)
    plain = lambda text: re.sub(r"\\x1b\\[[0-9;]*m", "", text.getvalue())
    found[name] = dict(number=number, success=result.success, result=repr(result.result))
    found[name].update(out=plain(out), err=plain(err))
json.dump(found, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ipython")
    (folder / "cells.json").write_text(json.dumps(CELLS))
    (folder / "runner.py").write_text(RUNNER)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "runner.py", "cells.json", "found.json"],
        cwd=folder,
        env={"PATH": "", "IPYTHONDIR": str(folder), "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(Path(folder / "found.json").read_text())


def test_a_healthy_cell_shows_its_result_and_one_line(cells: dict[str, dict[str, Any]]) -> None:
    cell = cells["healthy"]
    assert cell["success"]
    assert cell["result"] == "torch.Size([2, 3])"
    seen = "the program looked at one gradient, and it was there"
    watched = "2 operations, 1 forward pass, 1 backward pass"
    assert cell["err"] == f"gradflow: no fault found: {seen} ({watched})\n"
    assert "Out[" in cell["out"]


def test_quiet_and_a_semicolon_show_nothing(cells: dict[str, dict[str, Any]]) -> None:
    assert (cells["silenced"]["out"], cells["silenced"]["err"]) == ("", "")


def test_an_exception_is_shown_as_usual_and_then_explained(cells: dict[str, dict[str, Any]]) -> None:
    cell = cells["broken"]
    number = cell["number"]
    assert not cell["success"]
    assert f"Cell In[{number}], line 5" in cell["out"]
    assert "run_cell_magic" not in cell["out"]
    assert "notebook/running.py" not in cell["out"]
    assert "error[GF101] detach" in cell["err"]
    assert f"cell [{number}], line 4" in cell["err"]
    assert "4 │ loss = out.detach().sum()" in cell["err"]
    assert cells["report"]["result"] == "'detach'"


def test_the_last_exception_is_followed_through_the_cells(cells: dict[str, dict[str, Any]]) -> None:
    assert cells["plain"]["err"] == ""
    cell = cells["explain"]
    assert cell["success"]
    assert "error[GF104] numpy-roundtrip: `loss` has no history" in cell["err"]
    assert f"cell [{cells['second']['number']}], line 1" in cell["err"]
    assert f"cell [{cells['first']['number']}], line 1" in cell["err"]


def test_exceptions_are_explained_as_they_come_while_that_is_on(cells: dict[str, dict[str, Any]]) -> None:
    assert "RuntimeError" in cells["explained"]["out"]
    assert "error[GF104]" in cells["explained"]["err"]
    assert "ZeroDivisionError" in cells["other"]["out"]
    assert cells["other"]["err"] == ""
    assert cells["unexplained"]["err"] == ""


def test_a_statement_can_be_watched(cells: dict[str, dict[str, Any]]) -> None:
    assert cells["statement"]["success"]
    assert "no fault found" in cells["statement"]["err"]


def test_a_report_at_the_end_of_a_cell_is_shown_once(cells: dict[str, dict[str, Any]]) -> None:
    cell = cells["shown"]
    assert cell["err"] == ""
    assert cell["out"].count("error[GF104] numpy-roundtrip") == 1


def test_what_cannot_be_done_is_said_in_one_line(cells: dict[str, dict[str, Any]]) -> None:
    assert "`--stps` is no option" in cells["option"]["err"] + cells["option"]["out"]
    assert "cannot `await` at its top level" in cells["waits"]["err"] + cells["waits"]["out"]


def test_a_block_is_explained_too(cells: dict[str, dict[str, Any]]) -> None:
    assert "no fault found" in cells["block"]["err"]


def test_the_extension_can_be_taken_away(cells: dict[str, dict[str, Any]]) -> None:
    assert cells["unload"]["success"]
    assert not cells["gone"]["success"]
    assert "not found" in cells["gone"]["err"] + cells["gone"]["out"]


def test_importing_gradflow_needs_neither_ipython_nor_torch() -> None:
    code = "import gradflow, sys; gradflow.load_ipython_extension; print({'IPython', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "set()", done.stderr
