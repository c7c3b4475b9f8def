"""Stepping aside: when, and that nothing of gradflow is left on torch from then on."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.modules.module as module_machinery
from torch import nn
from torch.optim import optimizer as optimizer_machinery

sys.path.insert(0, str(Path(__file__).parents[3]))

from gradflow.record.program import watching
from gradflow.record.program.watching import Watch
from gradflow.watch.explaining import explain_observation, summary
from gradflow.watch.observing import observation_of
from tests.forked import call_forked


def recordings() -> dict[str, object]:
    """Everything of torch that an observer changes."""
    tables = {
        f"{machinery.__name__}.{name}": list(table)
        for machinery in (module_machinery, optimizer_machinery)
        for name, table in vars(machinery).items()
        if name.startswith("_global_") and isinstance(table, dict)
    }
    classes = (nn.Module, nn.Parameter, torch.Tensor, torch.optim.Optimizer, torch.autograd.Function)
    attributes = {
        f"{cls.__name__}.{name}": vars(cls).get(name)
        for cls in (*classes, torch.inference_mode, torch.utils.hooks.RemovableHandle)
        for name in ("__init__", "__new__", "__setattr__", "__enter__", "remove", "backward", "apply")
    }
    functions = {"grad": torch.autograd.grad, "backward": torch.autograd.backward, "compile": torch.compile}
    return tables | attributes | functions | {"modes": torch._C._len_torch_function_stack()}


@pytest.fixture(autouse=True)
def _torch_is_as_it_was() -> Iterator[None]:
    before = recordings()
    yield
    assert recordings() == before


def training_step() -> Callable[[], None]:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step() -> None:
        optimizer.zero_grad()
        model(torch.ones(2, 3)).pow(2).mean().backward()
        optimizer.step()

    return step


def bare_step() -> Callable[[], None]:
    weight = torch.ones(3, requires_grad=True)

    def step() -> None:
        (weight * 2).sum().backward()

    return step


def asking_step() -> Callable[[], None]:
    weight = torch.ones(3, requires_grad=True)

    def step() -> None:
        torch.autograd.grad((weight * 2).sum(), weight)

    return step


@pytest.mark.parametrize("make", [training_step, bare_step, asking_step])
def test_nothing_is_left_once_it_has_stepped_aside(make: Callable[[], Callable[[], None]]) -> None:
    before = recordings()
    watch = Watch(steps=2)
    with watch.watching():
        step = make()
        step()
        step()
        assert recordings() != before
        step()
        assert recordings() == before
        recorded = len(watch.recorder.operations.name)
        step()
        assert len(watch.recorder.operations.name) == recorded
    assert len(watch.log.backwards) == 2
    assert watch.log.stepped_aside == "after 2 backward passes"


def test_what_is_read_after_the_last_backward_still_counts() -> None:
    weight = torch.ones(3, requires_grad=True)
    watch = Watch(steps=1)
    with watch.watching():
        (weight * 2).sum().backward()
        assert weight.grad is not None
    assert len(watch.log.reads) == 1
    assert not watch.log.stepped_aside


def test_a_mode_that_the_program_put_on_top_stays() -> None:
    before = torch.get_default_device()
    try:
        with Watch().watching():
            torch.set_default_device("cpu")
            assert torch._C._len_torch_function_stack() == 2
        assert torch._C._len_torch_function_stack() == 1
        assert type(torch._C._get_function_stack_at(0)).__name__ == "DeviceContext"
    finally:
        torch.set_default_device(None)
    assert torch.get_default_device() == before


def test_a_loop_without_a_backward_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "OPERATIONS_KEPT", 40)
    watch = Watch()
    layer = nn.Linear(2, 2)
    before = recordings()
    with watch.watching():
        x = torch.ones(1, 2)
        for _ in range(100):
            x = x + 1
        assert len(watch.recorder.operations.name) == 50
        layer(x)
        assert recordings() == before
    assert watch.log.stepped_aside == "after 50 operations"
    report = explain_observation(observation_of(watch))
    assert report.verdict == "not determined"
    assert report.seen == ("no gradient was asked for in what was watched",)


def test_another_thread_is_left_alone() -> None:
    watch = Watch()

    def train() -> None:
        step = training_step()
        for _ in range(3):
            step()

    with watch.watching():
        own = training_step()
        own()
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
        own()
    assert len(watch.log.backwards) == 2
    assert len(watch.recorder.calls) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork here")
def test_a_forked_process_is_not_watched(tmp_path: Path) -> None:
    before, watch = recordings(), Watch()
    with watch.watching():
        assert call_forked(lambda: recordings() == before, folder=tmp_path, seconds=60)
        assert recordings() != before
    # it can have asked for gradients, and cannot reach the values of this process
    (said,) = explain_observation(observation_of(watch)).seen
    assert said == "no gradient was asked for in what was watched"
    assert watch.seen().recording.completeness.has_all("backward passes", "steps")


def test_a_hook_that_ran_only_later_is_known_to_have_run() -> None:
    layer, head = nn.Linear(2, 2), nn.Linear(2, 1)
    watch = Watch(steps=1)
    with watch.watching():
        layer.register_forward_hook(lambda *_: None)
        head(torch.ones(1, 2)).sum().backward()
        head(layer(torch.ones(1, 2))).sum().backward()
    assert watch.log.stepped_aside
    assert [hook.ran_unseen for hook in watch.log.hooks] == [True]


def test_backward_passes_of_other_threads_are_counted_and_told() -> None:
    def train() -> None:
        weight = torch.ones(2, requires_grad=True)
        for _ in range(3):
            (weight * 2).sum().backward()

    watch = Watch()
    with watch.watching():
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    report = explain_observation(observation_of(watch))
    assert report.verdict == "not determined"
    assert "3 backward passes met in other threads" in report.undetermined[0]
    assert "not determined" in summary(report)
