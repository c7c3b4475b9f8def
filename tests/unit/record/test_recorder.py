"""The recorder: which operations it sees, where they stand, and what it must not do."""

from __future__ import annotations

import gc
import runpy
import textwrap
import weakref

import numpy
import pytest
import torch
from torch import nn

from gradflow.load.loading import workload_from_objects
from gradflow.location import source_line
from gradflow.record.backward.walk import sequence_of, walk
from gradflow.record.program_sites import ProgramSites
from gradflow.record.run import Run, run_forward
from gradflow.recording import Recording


class Model(nn.Module):
    """Runs a function given by the test between two linear layers."""

    def __init__(self, function):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.last = nn.Linear(4, 2)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def record(function, **options) -> Run:
    model = Model(function)
    workload = workload_from_objects(model, torch.linspace(-1, 1, 8).reshape(2, 4))
    run = run_forward(workload, {"first": model.first}, {}, sites=ProgramSites(), **options)
    assert run.failure is None, run.failure
    return run


def names(recording: Recording) -> list[str]:
    return [recording.name_of(i) for i in range(len(recording))]


def find(recording: Recording, name: str) -> int:
    return names(recording).index(name)


def source_of(recording: Recording, operation: int) -> str:
    span = recording.span_of(operation)
    assert span is not None
    assert span.column is not None
    assert span.end_column is not None
    return source_line(span.path, span.line)[span.column - 1 : span.end_column - 1]


def test_an_operation_knows_its_exact_place_and_module():
    recording = record(lambda h: torch.relu(h) + 1).recording
    relu = find(recording, "relu")
    assert source_of(recording, relu) == "torch.relu(h)"
    assert recording.module_of(relu) == ""
    assert recording.module_of(find(recording, "linear")) == "first"
    assert names(recording)[:3] == ["linear", "relu", "add"]


def test_columns_count_characters_and_not_bytes():
    recording = record(lambda h: (len("äöü") > 0) and torch.tanh(h)).recording
    assert source_of(recording, find(recording, "tanh")) == "torch.tanh(h)"


def test_values_link_producers_to_consumers():
    recording = record(lambda h: torch.relu(h) * torch.tanh(h)).recording
    relu, tanh, product = (find(recording, name) for name in ("relu", "tanh", "mul"))
    assert list(recording.inputs_of(product)) == [recording.outputs_of(relu)[0], recording.outputs_of(tanh)[0]]
    assert recording.inputs_of(relu)[0] == recording.inputs_of(tanh)[0] == recording.layer_values["first"][0]


def test_parameters_and_inputs_are_named_leaves():
    recording = record(torch.relu).recording
    linear = find(recording, "linear")
    assert [recording.leaf_names[v] for v in recording.inputs_of(linear)] == [
        ("input", "0"),
        ("parameter", "first.weight"),
        ("parameter", "first.bias"),
    ]


def test_an_operation_in_place_makes_a_new_value_of_the_same_tensor():
    def function(h):
        y = h * 1
        y.mul_(2)
        return y

    recording = record(function).recording
    change = find(recording, "mul_")
    assert recording.inputs_of(change)[0] == recording.outputs_of(find(recording, "mul"))[0]
    assert recording.outputs_of(change)[0] != recording.inputs_of(change)[0]
    last = max(i for i, name in enumerate(names(recording)) if name == "linear")
    assert recording.inputs_of(last)[0] == recording.outputs_of(change)[0]


def test_a_change_through_a_view_is_seen_in_the_base():
    def function(h):
        y = h * 1
        y[:, 0].fill_(3.0)
        return y

    recording = record(function).recording
    refresh = find(recording, "(changed through a view)")
    last = max(i for i, name in enumerate(names(recording)) if name == "linear")
    assert recording.inputs_of(last)[0] == recording.outputs_of(refresh)[0]


def regions(function) -> list[str]:
    """The source of the place that switched recording off, for each operation that was not recorded."""
    recording = record(function).recording
    found = []
    for i in range(len(recording)):
        if recording.operations.mode[i]:
            span = recording.site_span(recording.operations.region[i])
            assert span is not None
            found.append(source_line(span.path, span.line).strip())
    return found


def test_a_no_grad_block_is_known_by_its_line():
    def function(h):
        with torch.no_grad():  # the block
            y = torch.relu(h)
        return y + h

    assert regions(function) == ["with torch.no_grad():  # the block"]


def test_a_decorated_function_is_known_by_its_decorator():
    @torch.no_grad()  # the decorator
    def helper(h):
        return torch.relu(h)

    assert regions(lambda h: helper(h) + h) == ["@torch.no_grad()  # the decorator"]


NESTED = {
    "one that is over is not blamed": """
        with torch.no_grad():  # the cause
            with torch.enable_grad():
                with torch.no_grad():
                    pass
            y = torch.relu(h)
    """,
    "an error leaves the blocks": """
        with torch.no_grad():  # the cause
            try:
                with torch.enable_grad():
                    with torch.no_grad():
                        raise ValueError
            except ValueError:
                y = torch.relu(h)
    """,
    "one context twice": """
        twice = torch.no_grad()
        with twice:  # the cause
            with twice:
                pass
            y = torch.relu(h)
        torch.set_grad_enabled(True)
    """,
    "one context again": """
        again = torch.enable_grad()
        with torch.no_grad():
            with again:
                pass
        with torch.no_grad():  # the cause
            with again:
                with torch.no_grad():
                    pass
            y = torch.relu(h)
    """,
    "a call within is over": """
        with torch.no_grad():  # the cause
            with torch.enable_grad():
                torch.set_grad_enabled(False)
            y = torch.relu(h)
    """,
    "a call is its own place": """
        with torch.no_grad():
            torch.set_grad_enabled(True)
            torch.set_grad_enabled(False)  # the cause
            y = torch.relu(h)
    """,
    "a context that was made before": """
        with torch.no_grad():  # the cause
            with torch.set_grad_enabled(True):
                with torch.set_grad_enabled(False):
                    pass
            y = torch.relu(h)
    """,
    "a decorator": """
        @torch.enable_grad()
        def helper():
            with torch.no_grad():
                pass
        with torch.no_grad():  # the cause
            helper()
            y = torch.relu(h)
    """,
    "a generator that ends later": """
        def generator():
            with torch.no_grad():  # the cause
                yield
        running = generator()
        next(running)
        with torch.enable_grad():
            running.close()
        y = torch.relu(h)
        torch.set_grad_enabled(True)
    """,
    "inference mode": """
        with torch.inference_mode():  # the cause
            with torch.inference_mode(False):
                with torch.no_grad():
                    pass
                h * 2
            torch.relu(h)
        y = h
    """,
    "off within inference mode that is off": """
        with torch.inference_mode():
            with torch.inference_mode(False):
                with torch.no_grad():  # the cause
                    y = torch.relu(h)
    """,
}


@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
def test_a_block_that_is_over_hands_back_to_the_one_around_it(body: str, tmp_path) -> None:
    path = tmp_path / "nested.py"
    path.write_text(
        "import torch\ndef function(h):\n"
        + textwrap.dedent(body).strip("\n").replace("\n", "\n    ").join(("    ", "\n    return y + h\n"))
    )
    variables = runpy.run_path(str(path))
    (found,) = regions(variables["function"])
    assert found.endswith("# the cause")


def test_a_function_mode_of_the_programs_stands_between() -> None:
    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    def function(h):
        with Mode(), torch.no_grad():  # the cause
            with torch.enable_grad(), torch.no_grad():
                pass
            return torch.relu(h) + h

    assert regions(function) == ["with Mode(), torch.no_grad():  # the cause"] * 2


def test_set_grad_enabled_is_known_by_its_call():
    def function(h):
        torch.set_grad_enabled(False)  # the call
        y = torch.relu(h)
        torch.set_grad_enabled(True)
        return y + h

    assert regions(function) == ["torch.set_grad_enabled(False)  # the call"]


def test_the_outer_region_is_known_again_after_an_inner_one():
    def function(h):
        with torch.no_grad():  # outer
            with torch.enable_grad():
                y = torch.relu(h)
            z = torch.tanh(h)
        return y + z

    assert regions(function) == ["with torch.no_grad():  # outer"]


def test_inference_mode_is_told_from_no_grad():
    def function(h):
        with torch.inference_mode():
            y = torch.relu(h)
        return h + y.clone()

    recording = record(function).recording
    assert recording.operations.mode[find(recording, "relu")] == 2
    assert recording.operations.mode[find(recording, "clone")] == 0


def test_a_custom_function_is_one_operation():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    recording = record(Double.apply).recording
    assert "Double.apply" in names(recording)
    assert "mul" not in names(recording)
    assert recording.values.requires_grad[recording.outputs_of(find(recording, "Double.apply"))[0]]


def test_values_that_come_back_from_numpy_are_linked_by_their_memory():
    recording = record(lambda h: h + torch.from_numpy(h.detach().numpy())).recording
    back = find(recording, "from_numpy")
    assert recording.inputs_of(back)[0] == recording.outputs_of(find(recording, "detach"))[0]


def test_a_new_parameter_is_seen():
    recording = record(lambda h: h + nn.Parameter(h.detach())).recording
    assert list(recording.inputs_of(find(recording, "Parameter"))) == list(
        recording.outputs_of(find(recording, "detach"))
    )


@pytest.mark.parametrize(
    ("leave", "name"),
    [
        (lambda h: h.sum().item(), "item"),
        (lambda h: float(h.detach().sum()), "__float__"),
        (lambda h: h.tolist(), "tolist"),
        (lambda h: bool(h.detach().sum() > 0), "__bool__"),
        (lambda h: numpy.asarray(h.detach()), "__array__"),
    ],
)
def test_what_leaves_torch_is_an_operation_without_output(leave, name):
    def function(h):
        leave(h)
        return h

    recording = record(function).recording
    assert len(recording.outputs_of(find(recording, name))) == 0


def test_the_kept_values_are_those_that_the_layer_returned():
    run = record(lambda h: h.mul_(0.0) + 1, keep=True)
    kept = run.live.activations["first"][0].tensor
    assert kept is not None
    assert kept.abs().sum() > 0


def test_no_tensor_of_the_run_is_held():
    held: list[weakref.ref[torch.Tensor]] = []

    def function(h):
        y = torch.relu(h)
        held.append(weakref.ref(y))
        return y.detach()

    run = record(function)
    gc.collect()
    assert held[0]() is None
    assert run.recording is not None


def test_sequence_numbers_link_nodes_to_operations():
    run = record(lambda h: torch.relu(h) * 2)
    assert run.live.score is not None
    assert run.live.score.grad_fn is not None
    columns = run.recording.operations
    made_by: dict[str, list[str]] = {}
    for node in walk(run.live.score.grad_fn) or []:
        owners = [
            run.recording.name_of(i)
            for i in range(len(run.recording))
            if columns.sequence_start[i] <= sequence_of(node) < columns.sequence_end[i]
        ]
        made_by.setdefault(node.name(), []).extend(owners)
    assert made_by["ReluBackward0"] == ["relu"]
    assert made_by["MulBackward0"] == ["mul"]
    assert made_by["AddmmBackward0"] == ["linear", "linear"]


def test_torch_is_left_as_it_was():
    before = (torch.from_numpy, torch.autograd.Function.__dict__.get("apply"), nn.Parameter.__new__)
    entered = torch.inference_mode.__enter__
    record(torch.relu)
    assert (torch.from_numpy, torch.autograd.Function.__dict__.get("apply"), nn.Parameter.__new__) == before
    assert torch.inference_mode.__enter__ is entered


def test_a_model_that_raises_is_told_by_its_line():
    def function(h):
        raise ValueError("no")  # here

    model = Model(function)
    workload = workload_from_objects(model, torch.zeros(2, 4))
    run = run_forward(workload, {"first": model.first}, {}, sites=ProgramSites())
    assert run.failure is not None
    assert run.failure.type_name == "ValueError"
    assert run.failure.span is not None
    assert source_line(run.failure.span.path, run.failure.span.line).strip() == 'raise ValueError("no")  # here'


def test_a_conversion_by_type_is_seen_and_the_question_for_the_type_is_not():
    recording = record(lambda h: h.type(torch.float64).type(torch.float32) if h.type() else h).recording
    assert names(recording).count("type") == 2
    assert [
        recording.dtype_of(recording.outputs_of(i)[0]) for i in range(len(recording)) if recording.name_of(i) == "type"
    ] == [
        "float64",
        "float32",
    ]


def test_the_ends_of_a_slice_are_read_when_they_are_tensors():
    recording = record(lambda h: h[:, h.argmax() * 0 :]).recording
    index = find(recording, "__getitem__")
    assert recording.name_of(recording.values.producer[recording.inputs_of(index)[-1]]) == "mul"
