"""safetensors, torch.export and TorchScript files."""

from __future__ import annotations

import json
import os
import pickle
import warnings
import zipfile

import pytest
import torch

from gradflow.errors import LoadError, UntrustedFileError, UsageError
from gradflow.load.files.exported_archive import unusual_content
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


def test_a_healthy_exported_archive_has_nothing_unusual(exported):
    assert unusual_content(exported) == ""


def malicious_sample_inputs(target):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(target),)

    return lambda name, data: pickle.dumps(Evil()) if "sample_inputs" in name else data


def with_json(change):
    def apply(name, data):
        if not name.endswith("models/model.json"):
            return data
        return json.dumps(change(json.loads(data))).encode()

    return apply


def with_expression(text):
    def change(program):
        values = program["graph_module"]["graph"]["tensor_values"]
        values["x"]["sizes"][0]["as_expr"]["expr_str"] = text
        return program

    return with_json(change)


def with_target(text):
    def change(program):
        program["graph_module"]["graph"]["nodes"][0]["target"] = text
        return program

    return with_json(change)


def with_argument_name(text):
    def change(program):
        program["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [text]
        return program

    return with_json(change)


@pytest.mark.parametrize(
    "change",
    [
        with_expression("__import__('os').mkdir('x')"),
        with_expression("().__class__"),
        with_expression("open('x')"),
        with_expression("Symbol.mro"),
        with_target("torch.hub.load"),
        with_target("torch.ops.aten.from_file.default"),
        with_target("torch.ops.higher_order.call_torchbind"),
        with_target("_operator.methodcaller"),
        with_target("torch.load"),
        with_argument_name("x=print(1)"),
    ],
)
def test_an_exported_archive_with_code_in_it_is_refused(exported, tmp_path, change):
    with pytest.raises(UntrustedFileError, match="can run code") as caught:
        load(rewritten(exported, tmp_path / "net.pt2", change))
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
    workload = load(scripted(Net().eval(), tmp_path / "net.pt"), input_shapes=("1,3,8,8",))
    assert not workload.can_enter
    assert "hooks cannot enter" in workload.limits[0]
    assert workload.model(*workload.inputs).shape == (1, 5)


def test_torchscript_that_maps_files_is_refused(tmp_path):
    class Writes(torch.nn.Module):
        def forward(self, x):
            return x + torch.from_file("made_by_the_archive", True, 4)

    with pytest.raises(UntrustedFileError, match="from_file"):
        load(scripted(Writes(), tmp_path / "net.pt"))


def test_arch_beside_a_whole_program_is_a_usage_error(exported, tmp_path):
    for path in (exported, scripted(Net(), tmp_path / "net.pt")):
        with pytest.raises(UsageError, match="`--arch` has nothing to do"):
            load(path, arch="resnet18")
