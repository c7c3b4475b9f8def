"""safetensors, torch.export and TorchScript files."""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile

import pytest
import torch

from gradflow.errors import LoadError, UntrustedFileError, UsageError
from gradflow.load.loading import load_workload
from gradflow.load.request import Request


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        self.head = torch.nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def load(path, **options):
    return load_workload(Request(model=str(path), **options))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "net.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dynamic = {"x": {0: torch.export.Dim("batch")}}
        torch.export.save(torch.export.export(Net().eval(), (torch.ones(2, 3, 8, 8),), dynamic_shapes=dynamic), path)
    return path


def rewritten(source, target, change):
    """A copy of a zip archive with ``change(name, data)`` applied to each record."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def scripted(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model).save(str(path))
    return path


def test_safetensors_needs_arch(tmp_path):
    import safetensors.torch

    (tmp_path / "net.py").write_text("import torch\ndef build():\n    return torch.nn.Linear(3, 2)\n")
    weights = {"weight": torch.full((2, 3), 7.0), "bias": torch.zeros(2)}
    safetensors.torch.save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(LoadError, match="holds only weights"):
        load(tmp_path / "weights.safetensors")
    workload = load(tmp_path / "weights.safetensors", arch=f"{tmp_path}/net.py:build")
    assert torch.equal(workload.model.weight, weights["weight"])


def test_an_exported_program_has_its_modules_and_its_example(exported):
    workload = load(exported)
    names = dict(workload.model.named_modules())
    assert {"body.0", "head"} <= set(names)
    fired = []
    names["body.0"].register_forward_hook(lambda *_: fired.append(True))
    assert workload.model(*workload.inputs).shape == (2, 5)
    assert fired
    assert "the example" in workload.input_description
    assert workload.model.get_parameter("head.weight").requires_grad


def malicious_sample_inputs(target):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(target),)

    file = io.BytesIO()
    torch.save(((Evil(),), {}), file)
    return lambda name, data: file.getvalue() if "sample_inputs" in name else data


def with_target(text):
    def apply(name, data):
        if not name.endswith("models/model.json"):
            return data
        program = json.loads(data)
        program["graph_module"]["graph"]["nodes"][0]["target"] = text
        return json.dumps(program).encode()

    return apply


def test_an_exported_archive_with_code_in_it_is_refused(exported, tmp_path):
    """All the places where code could be: see the tests of ``exported_program``."""
    with pytest.raises(UntrustedFileError, match=r"holds the operator `torch\.hub\.load`.*can run code") as caught:
        load(rewritten(exported, tmp_path / "net.pt2", with_target("torch.hub.load")))
    assert "--trust" in caught.value.hint


def test_pickled_example_inputs_of_an_exported_archive_do_not_run(exported, tmp_path):
    target = tmp_path / "pwned"
    with pytest.raises(UntrustedFileError, match="mkdir"):
        load(rewritten(exported, tmp_path / "net.pt2", malicious_sample_inputs(target)))
    assert not target.exists()


def test_a_damaged_exported_archive_is_one_clear_error(exported, tmp_path):
    broken = rewritten(exported, tmp_path / "net.pt2", lambda name, data: b"{" if name.endswith(".json") else data)
    with pytest.raises(LoadError, match="cannot load"):
        load(broken)


def test_torchscript_says_that_hooks_cannot_enter(tmp_path):
    workload = load(scripted(Net().eval(), tmp_path / "net.pt"), input_shapes=("1,3,8,8",), trust=True)
    assert not workload.can_enter
    assert "hooks cannot enter" in workload.limits[0]
    assert workload.model(*workload.inputs).shape == (1, 5)


def test_arch_beside_a_whole_program_is_a_usage_error(exported, tmp_path):
    for path in (exported, scripted(Net(), tmp_path / "net.pt")):
        with pytest.raises(UsageError, match="`--arch` has nothing to do"):
            load(path, arch="resnet18")


def test_an_exported_program_cannot_be_put_into_train_mode(exported):
    with pytest.raises(UsageError, match="stays in the mode"):
        load(exported, mode="train")
