"""A warning names the same file and line with gradflow's frames in between as without them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

pytest.importorskip("torch")

from gradflow.program_warnings.levels import warnings_skip_gradflow
from gradflow.record.program.running import run_program
from gradflow.record.program.watching import Watch

PROGRAM = """\
import warnings
import torch
from torch import nn

layer = nn.Linear(3, 2)
nn.functional.softmax(torch.rand(2, 3))
def note(module, inputs, output): warnings.warn("noted", stacklevel=1)
layer.register_forward_hook(note)
scores = layer(torch.rand(2, 3))
nn.functional.mse_loss(scores, torch.rand(2))
scores.sum().backward()
warnings.warn("far", stacklevel=99)
"""


def places(found: list[warnings.WarningMessage]) -> list[tuple[str, str, int]]:
    return [(str(one.message)[:12], Path(one.filename).name, one.lineno) for one in found]


def test_warnings_of_functions_written_in_python_name_the_callers_line(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with warnings.catch_warnings(record=True) as plain:
        warnings.simplefilter("always")
        exec(compile(PROGRAM, program, "exec"), {"__name__": "__main__"})
    with warnings.catch_warnings(record=True) as watched:
        warnings.simplefilter("always")
        assert run_program(Watch(), str(program), [], is_module=False) == 0
    # without gradflow, what is "far" ends in pytest here
    assert places(watched)[:-1] == places(plain)[:-1]
    assert places(watched)[-1] == ("far", "sys", 1)
    assert [line for _, name, line in places(watched) if name == "program.py"] == [6, 7, 10]


def test_warn_is_put_back() -> None:
    before = warnings.warn
    with warnings_skip_gradflow():
        assert warnings.warn is not before
    assert warnings.warn is before
