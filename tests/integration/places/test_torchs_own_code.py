"""Where all that ran is torch's own code, a finding stands at the line that built the module."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.checking import check_workload
from gradflow.load.loading import load_workload
from gradflow.load.request import Request

BUILT = """\
import torch
from torch import nn

class Own(nn.Module):
    def forward(self, x):
        return torch.sigmoid(x)

def build():
    model = nn.Sequential(nn.Linear(4, 40))
    model.append({activation})
    model.append(nn.Linear(40, 2))
    with torch.no_grad():
        model[0].bias.fill_(-300.0)
    return model
"""


def place_of_the_end(activation: str, folder: Path) -> tuple[str, int]:
    program = folder / "built.py"
    program.write_text(BUILT.format(activation=activation))
    request = Request(model=f"{program}:build", input_shapes=("3,4",))
    (found, *_) = check_workload(load_workload(request), ["0"]).diagnostics
    assert found.name == "saturation"
    assert found.location is not None
    return Path(found.location.path).name, found.location.line


@pytest.mark.parametrize("activation", ["nn.ReLU(inplace=True)", "nn.ReLU6()", "nn.Sigmoid()"])
def test_what_ends_in_an_activation_of_torch_is_told_where_it_was_built(activation: str, tmp_path: Path) -> None:
    assert place_of_the_end(activation, tmp_path) == ("built.py", 10)


def test_what_ends_in_a_forward_of_the_users_is_told_there(tmp_path: Path) -> None:
    assert place_of_the_end("Own()", tmp_path) == ("built.py", 6)
