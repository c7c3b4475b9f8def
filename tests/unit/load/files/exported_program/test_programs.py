"""What torch.export writes goes on loading, and runs as the model did."""

from __future__ import annotations

import collections
import json
import sys

import pytest
import torch
import torchvision
from torch import nn
from torch.utils._pytree import tree_leaves

from gradflow.errors import LoadError
from gradflow.load.files.exported import load_exported
from gradflow.load.files.exported_program.operators import checked_operator

AUTO = torch.export.Dim.AUTO


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class Containers(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.register_buffer("scale", torch.ones(4))
        self.register_buffer("passing", torch.ones(4), persistent=False)
        self.register_buffer("positions", torch.arange(8).expand((1, -1)))
        self.register_buffer("empty", torch.zeros(0))
        self.constant = torch.full((4,), 2.0)

    def forward(self, x, y, *, mask=None):
        h = self.a(x) * self.scale * self.constant + self.passing + self.positions[0, :4]
        h = h * mask["inner key"][0] * torch.tensor([1.0, 2.0, 3.0, 4.0])
        return {"out": h + y, "more": [h, (y,)], "ordered": collections.OrderedDict(z=h)}


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.m = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.m[0].weight
        self.named = nn.ModuleDict({"a-b c": nn.Linear(4, 4)})

    def forward(self, x, n=2, mode="half"):
        return self.named["a-b c"](self.tied(self.m(self.m(x)))) / n


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = self.a(x)
        with torch.no_grad():
            count = (x > 0).sum().item()
        torch._check(count >= 0)
        torch._check(count < 100)
        return torch.cond(x.sum() > 0, lambda h: h.float() * 2, lambda h: -h.float(), (h,)) + torch.ones(count).sum()


class Written(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls.add_(1)
        return x + self.calls


class NoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.ones(2))

    def forward(self):
        return self.p * 2


def image(size=16):
    return torch.linspace(-1, 1, 2 * 3 * size * size).reshape(2, 3, size, size)


PROGRAMS = {
    "convolutions that train": (Convolutions, lambda: (image(),), {}, {}),
    "sizes that are symbols": (
        Convolutions,
        lambda: (image(32),),
        {},
        {"dynamic_shapes": {"x": {0: AUTO, 2: AUTO, 3: AUTO}}},
    ),
    "keywords, containers, buffers and constants": (
        Containers,
        lambda: (torch.ones(2, 5), torch.ones(2, 4)),
        {"mask": {"inner key": [torch.ones(4)]}},
        {},
    ),
    "a module that runs twice, tied weights, odd names": (Twice, lambda: (torch.ones(2, 4), 3, "half"), {}, {}),
    "preserved signatures": (Twice, lambda: (torch.ones(2, 4),), {}, {"preserve_module_call_signature": ("m",)}),
    "branches, regions and unknown sizes": (Branches, lambda: (torch.linspace(-1, 2, 10).reshape(2, 5),), {}, {}),
    "a buffer that is written": (Written, lambda: (torch.ones(2),), {}, {}),
    "a recurrent network": (lambda: nn.LSTM(5, 4, 2), lambda: (torch.ones(3, 2, 5),), {}, {}),
    "attention": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(),
        lambda: (torch.ones(2, 3, 8),),
        {},
        {"dynamic_shapes": ({0: AUTO, 1: AUTO},)},
    ),
    "a model of torchvision": (
        lambda: torchvision.models.squeezenet1_1().eval(),
        lambda: (image(64),),
        {},
        {"dynamic_shapes": {"x": {0: torch.export.Dim("batch")}}},
    ),
    "no inputs": (NoInputs, tuple, {}, {}),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_a_program_loads_and_runs_as_the_model_did(load_program, name):
    build, inputs, keywords, options = PROGRAMS[name]
    torch.manual_seed(0)
    model = build()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    source = load_program(model, *inputs(), kwargs=keywords, **options)
    model.load_state_dict(state)
    assert not source.limits
    arguments, given = source.example_inputs or ((), {})
    found, expected = source.model(*arguments, **given), model(*inputs(), **keywords)
    for one, other in zip(tree_leaves(found), tree_leaves(expected), strict=True):
        torch.testing.assert_close(one, other)
    assert {key for key, _ in source.model.named_parameters()} >= {key for key, _ in model.named_parameters()}


def test_an_operator_of_torchvision_is_known(load_program):
    class Boxes(nn.Module):
        def forward(self, boxes, scores):
            return boxes[torchvision.ops.nms(boxes, scores, 0.5)]

    source = load_program(Boxes(), torch.rand(5, 4), torch.rand(5))
    assert source.model(*source.example_inputs[0]).shape[1] == 4


def test_a_package_that_is_missing_is_what_the_error_says_to_install(load_program, monkeypatch):
    class Boxes(nn.Module):
        def forward(self, boxes, scores):
            return boxes[torchvision.ops.nms(boxes, scores, 0.5)]

    checked_operator.cache_clear()
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    with pytest.raises(LoadError, match="holds an operator of torchvision, which cannot be imported") as caught:
        load_program(Boxes(), torch.rand(5, 4), torch.rand(5))
    assert "pip install torchvision" in caught.value.hint


def test_a_program_whose_sizes_depend_on_each_other_loads(load_program):
    class Shifted(nn.Module):
        def forward(self, x, y):
            return x[1:] + y

    size = torch.export.Dim("size", min=3, max=60)
    source = load_program(Shifted(), torch.ones(6), torch.ones(5), dynamic_shapes=({0: size + 1}, {0: size}))
    assert source.model(torch.ones(9), torch.ones(8)).shape == (8,)


def test_a_program_after_decomposition_loads(tmp_path):
    path = tmp_path / "program.pt2"
    program = torch.export.export(Convolutions().eval(), (image(),)).run_decompositions()
    torch.export.save(program, path)
    assert load_exported(path, trust=False).model(image()).shape == (2, 5)


def test_a_program_whose_modules_cannot_be_restored_is_flat(changed):
    def with_odd_signature(program):
        spec = json.dumps([1, {"type": None, "context": None, "children_spec": []}])
        signature = {"inputs": [], "outputs": [], "in_spec": spec, "out_spec": spec}
        program["graph_module"]["module_call_graph"].append({"fqn": "a@1", "signature": signature})

    source = load_exported(changed.program(with_odd_signature), trust=False)
    assert "only parameters" in source.limits[0]
    arguments, keywords = source.example_inputs
    assert source.model(*arguments, **keywords).shape == (3, 3)


def test_notes_of_the_exporter_are_no_matter(changed):
    def with_notes(program):
        for node in program["graph_module"]["graph"]["nodes"]:
            node["metadata"] |= {
                "stack_trace": "\x1b[31m",
                "source_fn_stack": "x,torch.os.mkdir",
                "custom": "{",
                "from_node": "?",
            }
        program["guards_code"] = ["__import__('os').abort()"]
        program["graph_module"]["metadata"] = {"custom": "{"}
        program["a field of a later torch"] = {"x": 1}

    assert not load_exported(changed.program(with_notes), trust=False).limits


def test_what_torch_prints_while_it_loads_stays_out_of_the_report(changed, monkeypatch, capsys):
    real = torch.export.unflatten
    monkeypatch.setattr(torch.export, "unflatten", lambda program: sys.stdout.write("tried") and real(program))
    assert not load_exported(changed.write(changed.records()), trust=False).limits
    assert capsys.readouterr().out == ""


def test_other_records_are_left_out(changed):
    root = changed.record("archive_format").partition("/")[0]
    more = {f"{root}/extra/notes.txt": b"x", f"{root}/models/other.json": b"?", f"{root}/data/weights/weight_99": b"?"}
    assert not load_exported(changed.write(changed.records() | more), trust=False).limits
