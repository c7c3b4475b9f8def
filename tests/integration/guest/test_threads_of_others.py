"""A check beside threads that use the same model: they get what they would have got, and the check is right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import gradflow

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class Detour(nn.Module):
    """Through NumPy: asks for experiments, which write other values into the output of ``layer``."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x)
        time.sleep(0.002)
        out: Tensor = self.head(torch.from_numpy(h.detach().numpy().copy())) + x
        return out


@contextmanager
def used_elsewhere(use: Callable[[], None]) -> Iterator[None]:
    """Another thread that does the same again and again meanwhile."""
    is_over, begun = threading.Event(), threading.Event()

    def go() -> None:
        while not is_over.is_set():
            use()
            begun.set()

    thread = threading.Thread(target=go)
    thread.start()
    begun.wait(30)
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_thread_that_serves_the_model_is_neither_changed_nor_counted() -> None:
    model = Detour()
    with torch.no_grad():
        expected = model(X)
    served: list[bool] = []

    def serve() -> None:
        with torch.no_grad():
            served.append(torch.equal(model(X), expected))

    with used_elsewhere(serve):
        reports = [gradflow.check(model, "layer", inputs=X, target=0) for _ in range(5)]
    assert all(served)
    assert {(report.verdict, report.target.call_count) for report in reports} == {("broken", 1)}
    assert {one.code for report in reports for one in report.diagnostics} == {"GF104"}


def test_a_thread_in_the_middle_of_a_part_of_the_model_is_left_alone() -> None:
    model = Detour()
    is_inside, may_leave = threading.Event(), threading.Event()
    found: list[Tensor] = []

    class Waiting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            is_inside.set()
            may_leave.wait(30)
            found.append(model.layer(x))
            return x

    thread = threading.Thread(target=Waiting(), args=(X,))
    thread.start()
    is_inside.wait(30)

    def let_go(out: Tensor) -> Tensor:
        may_leave.set()
        thread.join()
        return out.sum()

    report = gradflow.check(model, "layer", inputs=X, score=let_go)
    assert (report.verdict, report.target.call_count) == ("broken", 1)
    assert torch.equal(found[0], model.layer(X))


@pytest.mark.parametrize("is_kept", [False, True])
def test_threads_that_the_model_hands_work_to_are_its_own(is_kept: bool) -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(4))
            self.head = nn.Linear(4, 3)
            self.__dict__["pool"] = ThreadPoolExecutor(4)

        def forward(self, x: Tensor) -> Tensor:
            if is_kept:
                return self.merged(self.pool, x)
            with ThreadPoolExecutor(4) as pool:
                return self.merged(pool, x)

        def merged(self, pool: ThreadPoolExecutor, x: Tensor) -> Tensor:
            out: Tensor = self.head(sum(pool.map(lambda part: part(x), self.parts)))
            return out

    model = Pooled()
    model(X)
    report = gradflow.check(model, ["parts.0.0", "parts.2", "head"], inputs=X, target=0)
    assert [(one.verdict, one.target.call_count) for one in report.reports] == [("connected", 1)] * 3
    model.pool.shutdown()


def test_two_checks_in_two_modes_take_turns() -> None:
    seen: dict[str, set[bool]] = {"train": set(), "eval": set()}

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            time.sleep(0.02)
            seen[threading.current_thread().name].add(self.training)
            out: Tensor = self.layer(x)
            return out

    model = Slow()
    threads = [
        threading.Thread(target=gradflow.check, args=(model, "layer"), kwargs={"inputs": X, "mode": mode}, name=mode)
        for mode in seen
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"train": {True}, "eval": {False}}
    assert model.training
