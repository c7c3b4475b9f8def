"""A recording can be written as JSON and comes back equal, also where there is no torch; it has its source with it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.source_lines import with_source
from gradflow.errors import GradflowError
from gradflow.load.loading import workload_from_objects
from gradflow.location import SourceSpan
from gradflow.record.program.watching import Watch
from gradflow.record.program_sites import ProgramSites
from gradflow.record.run import run_forward
from gradflow.recording import Completeness, Gap, Recording
from gradflow.recording.columns import OperationColumns, ValueColumns
from gradflow.recording.gradients import NodeFlow
from gradflow.recording.plain_data import from_plain_data, to_plain_data
from gradflow.recording.program.events import Backward, HookRun, Optimizer, WatchedModule
from gradflow.recording.program.recording import ProgramRecording


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: typing.Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: typing.Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * 2


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.more = [nn.Linear(2, 2)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            scale = self.more[0](x)
        return typing.cast(torch.Tensor, Doubled.apply(self.layer(x)) * scale)  # type: ignore[no-untyped-call]


def there_and_back(recording: Recording | ProgramRecording) -> Recording | ProgramRecording:
    return from_plain_data(json.loads(json.dumps(to_plain_data(recording), allow_nan=False)))


def of_a_check() -> Recording:
    model = Net()
    workload = workload_from_objects(model, torch.ones(1, 2), target=1)
    return run_forward(workload, {"layer": model.layer}, {}, sites=ProgramSites()).recording


def of_a_program() -> ProgramRecording:
    watch, model = Watch(), Net()
    with watch.watching():
        model.layer.register_forward_hook(lambda module, inputs, outputs: None)
        optimizer = torch.optim.SGD(model.parameters())
        loss = model(torch.ones(1, 2)).sum()
        loss.backward()
        optimizer.step()
        assert model.layer.weight.grad is not None
        assert loss.item() > -math.inf
        (model.layer.weight.sum() / torch.zeros(())).backward()
        try:
            loss.backward()
        except RuntimeError as error:
            watch.note_failure(error)
    return watch.seen()


def test_a_recording_of_a_check_comes_back_equal_without_torch(tmp_path: Path) -> None:
    recording = of_a_check()
    assert len(recording) > 3
    assert recording.score >= 0
    back = there_and_back(recording)
    assert back == recording
    assert dataclasses.replace(recording, score=-1) != back
    file = tmp_path / "recording.json"
    file.write_text(json.dumps(to_plain_data(recording)))
    code = (
        "import json, sys; from gradflow.recording.plain_data import from_plain_data, to_plain_data;"
        f"data = json.load(open({str(file)!r})); assert to_plain_data(from_plain_data(data)) == data;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_recording_of_a_program_comes_back_equal_and_has_the_lines_of_all_its_places() -> None:
    seen = of_a_program()
    assert seen.backwards
    assert seen.optimizers
    assert seen.hooks
    assert seen.failures
    assert seen.backward_returns
    back = there_and_back(seen)
    assert back == seen
    assert isinstance(back, ProgramRecording)
    lines, places = back.recording.lines, set(places_in(seen))
    here = Path(__file__).read_text().splitlines()
    assert {place.path for place in places} >= {__file__}
    assert all(lines[place.path][place.line] == here[place.line - 1] for place in places if place.path == __file__)
    assert all(place.line in lines[place.path] for place in places)


def places_in(value: typing.Any) -> Iterator[SourceSpan]:
    if isinstance(value, SourceSpan):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from places_in(getattr(value, field.name))
    elif isinstance(value, dict):
        yield from places_in(list(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from places_in(part)


def kinds_within(kind: type, besides: set[type]) -> dict[type, dict[str, set[typing.Any]]]:
    """The dataclasses that a recording is made of: for each, what the types of its fields are made of."""
    found: dict[type, dict[str, set[typing.Any]]] = {}
    waiting: list[typing.Any] = [kind]
    while waiting:
        kind = waiting.pop()
        if kind not in found and kind not in besides:
            found[kind] = {
                name: {hint, *typing.get_args(hint)} | {a for p in typing.get_args(hint) for a in typing.get_args(p)}
                for name, hint in typing.get_type_hints(kind).items()
            }
            waiting += [part for parts in found[kind].values() for part in parts if dataclasses.is_dataclass(part)]
    return found


def test_no_field_that_names_places_is_forgotten() -> None:
    kinds = kinds_within(ProgramRecording, {Recording, SourceSpan})
    named = {name for fields in kinds.values() for name, parts in fields.items() if SourceSpan in parts}
    assert len(named) > 5
    text = inspect.getsource(ProgramRecording.places)
    assert [name for name in sorted(named) if f".{name}" not in text] == []


def test_events_are_frozen_and_hold_nothing_that_grows() -> None:
    kinds = kinds_within(ProgramRecording, {OperationColumns, ValueColumns})
    assert {Backward, HookRun, Optimizer, WatchedModule} <= kinds.keys()
    for kind, fields in kinds.items():
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]
        for name, parts in fields.items():
            assert {typing.get_origin(part) for part in parts}.isdisjoint({list, set, dict}), (kind, name)


def test_numbers_that_are_none_and_events_are_kept() -> None:
    recording = dataclasses.replace(
        of_a_check(),
        completeness=Completeness(
            gaps=(Gap(why="transform", events=frozenset({"operations", "steps"})), Gap(why="graph"))
        ),
    )
    seen = of_a_program()
    flow = NodeFlow(name="MulBackward0", operation=0, incoming=math.inf, outgoing=(None, -math.inf))
    first = dataclasses.replace(seen.backwards[0], flows=(flow,))
    seen = dataclasses.replace(seen, backwards=(first, *seen.backwards[1:]))
    for each in (recording, seen):
        assert there_and_back(each) == each


def test_what_is_no_recording_is_refused() -> None:
    data = to_plain_data(of_a_check())
    for other in ({**data, "format": 0}, {**data, "recording": {}}, {**data, "kind": "else"}, [], None):
        with pytest.raises(GradflowError, match="not a recording"):
            from_plain_data(other)


def test_a_finding_of_a_stored_recording_needs_no_file() -> None:
    place = SourceSpan(path="/gone/net.py", line=2)
    finding = Diagnostic(code="GF101", name="detach", severity="error", message="m", location=place)
    source = with_source(finding, {"/gone/net.py": {1: "a = 1", 2: "b = a.detach()"}}).source
    assert source is not None
    assert [(line.line, line.text) for line in source] == [(1, "a = 1"), (2, "b = a.detach()")]


def test_a_recording_that_was_taken_does_not_grow() -> None:
    watch, layer = Watch(), nn.Linear(3, 1)
    with watch.watching():
        w = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.SGD([w])
        handle = layer.register_full_backward_hook(lambda module, of_input, of_output: None)
        on_tensor = w.register_hook(lambda gradient: None)

        def turn() -> None:
            (layer(w * 2)).sum().backward()
            optimizer.step()
            for _ in range(60):  # more than are noted one by one
                assert w.grad is not None

        turn()
        seen = watch.seen()
        then = to_plain_data(seen)
        turn()
        w.requires_grad_(False)
        handle.remove()
        on_tensor.remove()
        layer.eval()
    assert to_plain_data(seen) == then
    now = watch.seen()
    assert len(now.recording) > len(seen.recording)
    assert [(len(one.hooks[0].runs), one.tensor_hooks[0].runs) for one in (seen, now)] == [(1, 1), (2, 2)]
    assert [len(one.optimizers[0].steps) for one in (seen, now)] == [1, 2]
    assert [sum(read.times for read in one.reads) for one in (seen, now)] == [60, 120]
    assert (now.hooks[0].removed_at_call, seen.hooks[0].removed_at_call) == (2, -1)
    assert watch.seen().recording.operations is watch.recorder.operations, "handed over at the end"


def test_flags_are_kept_as_they_were_at_each_operation() -> None:
    watch = Watch()
    with watch.watching():
        w, v = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
        first = w * v
        w.requires_grad_(False)
        second = w * v
        w.requires_grad_(True)
        third = w * v
        w.requires_grad_(False)
    recording = watch.seen().recording
    w_value, v_value, *products = map(watch.recorder.value_of, (w, v, first, second, third))
    rows = [recording.values.producer[product] for product in products]
    assert [recording.requires_grad_of(w_value, at=row) for row in (*rows, len(recording))] == [
        True,
        False,
        True,
        False,
    ]
    assert all(recording.requires_grad_of(v_value, at=row) for row in (-1, *rows))
    assert recording.values.requires_grad[w_value], "the column has what it was at first"
    assert there_and_back(recording) == recording


def test_a_flag_that_is_switched_between_two_passes_was_another_for_each() -> None:
    watch = Watch()
    with watch.watching():
        w = torch.ones(3, requires_grad=True)
        first, second = (w * 2).sum(), (w * 3).sum()
        first.backward()
        w.requires_grad_(False)
        second.backward()
        w.requires_grad_(True)
    seen, value = watch.seen(), watch.recorder.value_of(w)
    assert [seen.required_grad(value, before=number) for number in (0, 1, 2)] == [True, False, True]
    assert seen.last_switch(value, before=0) is None
