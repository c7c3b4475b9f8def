"""Checks in two threads at once, and a thread that trains beside a check."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

import gradflow


def patched() -> tuple[object, ...]:
    return (
        torch.from_numpy,
        torch.autograd.Function.__dict__.get("apply"),
        torch.nn.Parameter.__new__,
        torch.inference_mode.__enter__,
        torch.inference_mode.__exit__,
        torch.autograd.backward,
        dict(modules._global_forward_hooks),
        dict(modules._global_forward_pre_hooks),
        torch.get_default_dtype(),
    )


class Net(nn.Module):
    """Calls something in the middle of its forward."""

    def __init__(self, middle: Callable[[], object] = bool) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)
        nn.init.constant_(self.a.bias, 3.0)  # no unit is dead, whatever the threads draw
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        self.middle()
        out: Tensor = self.b(h.relu())
        return out


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * 2


@pytest.mark.parametrize("first_ends_first", [True, False])
def test_two_checks_at_once_are_right_and_leave_torch_as_found(first_ends_first: bool) -> None:
    inside, verdicts = [threading.Event(), threading.Event()], {}

    def meet(own: int) -> Callable[[], object]:
        def wait() -> None:
            inside[own].set()
            if (own == 0) == first_ends_first:
                inside[1 - own].wait(0.5)

        return wait

    def work(number: int) -> None:
        verdicts[number] = gradflow.check(Net(meet(number)), "a", inputs=torch.ones(2, 4)).verdict

    before = patched()
    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert verdicts == {0: "connected", 1: "connected"}
    assert patched() == before


def test_what_another_thread_does_meanwhile_is_not_recorded() -> None:
    other = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))

    def use() -> None:
        made = torch.from_numpy(torch.ones(3, 4).numpy())
        Twice.apply(other(made)).sum().backward()
        nn.Parameter(torch.zeros(2))
        with torch.inference_mode():
            other(made)

    alone = gradflow.check(Net(), "a", inputs=torch.ones(2, 4))
    with ThreadPoolExecutor(1) as pool:
        beside = gradflow.check(Net(lambda: pool.submit(use).result()), "a", inputs=torch.ones(2, 4))
    assert beside.verdict == "connected"
    assert len(beside.graph) == len(alone.graph)
    assert beside.environment.module_call_count == alone.environment.module_call_count


def test_training_beside_a_check_goes_as_without_it() -> None:
    def steps(model: nn.Module) -> list[Tensor]:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for number in range(3):
            optimizer.zero_grad()
            Twice.apply(model(torch.full((3, 4), float(number)))).square().sum().backward()
            optimizer.step()
        return [parameter.detach().clone() for parameter in model.parameters()]

    def made() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2))

    expected, trained, found = steps(made()), made(), []
    with ThreadPoolExecutor(1) as pool:
        report = gradflow.check(
            Net(lambda: found.append(pool.submit(steps, trained).result())), "a", inputs=torch.ones(2, 4)
        )
    assert report.verdict == "connected"
    assert all(torch.equal(one, other) for one, other in zip(expected, found[0], strict=True))


@pytest.mark.parametrize("verify", [True, False])
def test_the_default_dtype_of_other_threads_is_the_programs(verify: bool) -> None:
    seen: set[torch.dtype] = set()
    with ThreadPoolExecutor(1) as pool:
        model = Net(lambda: seen.add(pool.submit(lambda: torch.zeros(1).dtype).result()))
        gradflow.check(model, "a", inputs=torch.ones(2, 4), verify=verify)
    assert seen == {torch.float32}


def test_a_part_of_the_model_that_runs_in_another_thread_is_still_seen() -> None:
    class InThread(Net):
        def forward(self, x: Tensor) -> Tensor:
            with ThreadPoolExecutor(1) as pool:
                h = pool.submit(self.a, x).result()
            out: Tensor = self.b(h.relu())
            return out

    report = gradflow.check(InThread(), "a", inputs=torch.ones(2, 4))
    assert report.verdict == "connected"
