from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from gradflow.errors import UsageError
from gradflow.load.loading import load_workload, workload_from_objects
from gradflow.load.request import Request


def test_a_request_needs_no_torch():
    code = "import sys, gradflow.load.request, gradflow.load.names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_grad_mode_that_the_users_file_leaves_off_stays_off(tmp_path):
    path = tmp_path / "userleaks.py"
    path.write_text("import torch\ntorch.set_grad_enabled(False)\nmodel = torch.nn.Linear(3, 2)\n")
    try:
        workload = load_workload(Request(model=f"{path}:model"))
        assert not torch.is_grad_enabled()
        assert (workload.provenance.grad_mode_at.path, workload.provenance.grad_mode_at.line) == (str(path), 2)
    finally:
        torch.set_grad_enabled(True)
        sys.modules.pop("userleaks", None)


def test_a_score_function_of_the_users_file_is_used(tmp_path):
    path = tmp_path / "userscore.py"
    path.write_text(
        "import torch\nmodel = torch.nn.Linear(3, 2)\ndef score(output):\n    return output.sum()\nnot_one = 3\n"
    )
    workload = load_workload(Request(model=f"{path}:model", score=f"{path}:score"))
    assert (workload.objective.span.path, workload.objective.span.line) == (str(path), 4)
    value, name, _ = workload.objective.compute(workload.model(*workload.inputs))
    assert (value.shape, name) == ((), "score(output)")
    with pytest.raises(UsageError, match="not a function"):
        load_workload(Request(model=f"{path}:model", score=f"{path}:not_one"))
    sys.modules.pop("userscore", None)


@pytest.mark.parametrize(
    ("inputs", "arguments", "keywords"),
    [
        (torch.ones(1, 3), 1, set()),
        ((torch.ones(1, 3), 2), 2, set()),
        ({"input": torch.ones(1, 3)}, 0, {"input"}),
        ([torch.ones(3, 8, 8)], 1, set()),
        (None, 1, set()),
    ],
)
def test_objects_become_a_call(inputs, arguments, keywords):
    workload = workload_from_objects(torch.nn.Linear(3, 2), inputs, target=1)
    assert (len(workload.inputs), set(workload.keyword_inputs)) == (arguments, keywords)
    assert workload.model_name == "Linear"
    assert bool(workload.assumptions) == (inputs is None)


def test_objects_are_taken_as_they_are():
    model, x = torch.nn.Linear(3, 2), torch.ones(1, 3, requires_grad=True)
    workload = workload_from_objects(model, x)
    assert workload.inputs[0] is x
    assert workload.model is model
    assert model.training


@pytest.mark.parametrize(
    "call",
    [
        lambda: workload_from_objects("resnet18", torch.ones(1)),
        lambda: workload_from_objects(torch.nn.Linear(1, 1), torch.ones(1), score=3),
        lambda: workload_from_objects(torch.nn.Linear(1, 1), torch.ones(1), target=1, score=torch.sum),
    ],
)
def test_objects_that_make_no_sense_are_usage_errors(call):
    with pytest.raises(UsageError):
        call()
