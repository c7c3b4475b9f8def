"""The follower of module calls: how each call ended, in each thread, and what its observers are told."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module

from gradflow.location import SiteTable
from gradflow.record.conduct.whose_error import stepping_aside
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.modules.given_names import GivenNames
from gradflow.record.modules.observer import CallObserver, RunningCall
from gradflow.record.modules.one_run import OneRun
from gradflow.recording import CallColumns, ModuleCalls, OperationColumns


class Rows:
    """A recorder of nothing but calls."""

    def __init__(self) -> None:
        self.call = -1
        self.calls = CallColumns()
        self.sites = SiteTable()
        self.operations = OperationColumns()
        self.suspended = 0
        self.is_over = False
        self.failed: list[Exception] = []
        self.thread = threading.get_ident()

    def known_values(self, output: Any) -> tuple[int, ...]:
        return (7,)

    def step_aside(self, error: Exception) -> None:
        self.failed.append(error)
        self.suspended += 1


class Told(CallObserver):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.of: list[tuple[str, ...]] = []

    def entered(self, call: RunningCall, module: nn.Module, inputs: Any) -> None:
        self.of.append(("entered", call.module) if call.is_recorded else ("entered unrecorded",))

    def left(self, call: RunningCall, module: nn.Module, output: Any, raised: BaseException | None) -> None:
        self.of.append(("left", call.module, type(output).__name__ if raised is None else type(raised).__name__))

    def abandoned(self, call: RunningCall) -> None:
        self.of.append(("abandoned", call.module))


class Doing(nn.Module):
    """A layer that does something; its parts are named."""

    def __init__(self, do: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.do = do
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *args: Any) -> Any:
        return self.do(self, *args)


def fail(error: BaseException) -> nn.Module:
    def do(_: nn.Module) -> None:
        raise error

    return Doing(do)


def follow(model: nn.Module, observers: Sequence[CallObserver] = ()) -> tuple[Rows, Told]:
    rows, told = Rows(), Told()
    names = {id(module): name or "model" for name, module in model.named_modules()}
    scope = OneRun(id(model), names)
    guard = functools.partial(stepping_aside, step_aside=rows.step_aside)
    with ModuleFollower(rows, scope, (GivenNames(names), *observers, told), guard).watching():
        model()
    assert not torch_module._global_forward_pre_hooks
    assert not torch_module._global_forward_hooks
    return rows, told


def test_calls_within_calls() -> None:
    rows, told = follow(Doing(lambda m: (m.a(), m.a()), a=Doing(lambda m: m.b(), b=Doing(lambda _: 1))))
    assert [(row.module, row.parent, row.outputs, row.raised) for row in ModuleCalls(rows.calls)] == [
        ("model", -1, (7,), ""),
        ("a", 0, (7,), ""),
        ("a.b", 1, (7,), ""),
        ("a", 0, (7,), ""),
        ("a.b", 3, (7,), ""),
    ]
    assert all(row.end_operation == 0 for row in ModuleCalls(rows.calls))
    assert rows.call == -1
    assert told.of[:4] == [("entered", "model"), ("entered", "a"), ("entered", "a.b"), ("left", "a.b", "int")]


def test_a_module_that_raised_and_was_caught() -> None:
    def catch(model: nn.Module) -> Any:
        try:
            model.a()
        except ValueError:
            return model.b()

    rows, told = follow(Doing(catch, a=fail(ValueError()), b=Doing(lambda _: None)))
    assert [(row.module, row.parent, row.raised, row.outputs) for row in ModuleCalls(rows.calls)] == [
        ("model", -1, "", (7,)),
        ("a", 0, "ValueError", ()),
        ("b", 0, "", (7,)),
    ]
    # `b` ran while the exception of `a` was handled, and returned `None`: it raised nothing
    assert told.of[2:5] == [("left", "a", "ValueError"), ("entered", "b"), ("left", "b", "NoneType")]


def test_a_module_that_raises_what_is_being_handled_has_raised() -> None:
    error = ValueError()

    def catch(model: nn.Module) -> Any:
        try:
            raise error
        except ValueError:
            try:
                model.a()
            except ValueError:
                return model.b()

    rows, told = follow(Doing(catch, a=fail(error), b=Doing(lambda _: None)))
    assert [(row.module, row.raised) for row in ModuleCalls(rows.calls)] == [
        ("model", ""),
        ("a", "ValueError"),
        ("b", ""),
    ]
    assert told.of[2:5] == [("left", "a", "ValueError"), ("entered", "b"), ("left", "b", "NoneType")]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_what_ends_without_a_word_is_let_go_of(error: BaseException) -> None:
    def catch(model: nn.Module) -> None:
        try:
            model.a()
        except BaseException:  # noqa: BLE001  (this is what it is about)
            model.b()
        model.b()

    rows, told = follow(Doing(catch, a=Doing(lambda m: m.c(), c=fail(error)), b=Doing(lambda _: 1)))
    assert [(row.module, row.parent) for row in ModuleCalls(rows.calls)] == [
        ("model", -1), ("a", 0), ("a.c", 1), ("b", 0), ("b", 0),
    ]  # fmt: skip
    assert all(row.end_operation == 0 for row in ModuleCalls(rows.calls))
    assert [one for one in told.of if one[0] == "abandoned"] == [("abandoned", "a.c"), ("abandoned", "a")]


def test_an_outer_call_that_ends_takes_the_abandoned_with_it() -> None:
    def catch(model: nn.Module) -> None:
        try:
            model.a()
        except KeyboardInterrupt:
            return

    rows, told = follow(Doing(catch, a=fail(KeyboardInterrupt())))
    assert told.of[-2:] == [("abandoned", "a"), ("left", "model", "NoneType")]
    assert rows.call == -1


def test_what_runs_unrecorded_is_told_and_not_recorded() -> None:
    rows: list[Rows] = []

    def within(model: nn.Module) -> None:
        rows[0].suspended += 1
        model.a()
        rows[0].suspended -= 1
        model.b()

    model = Doing(within, a=Doing(lambda m: m.c(), c=Doing(lambda _: 1)), b=Doing(lambda _: 1))
    rows.append(Rows())
    told = Told()
    names = {id(module): name or "model" for name, module in model.named_modules()}
    scope = OneRun(id(model), names)
    with ModuleFollower(rows[0], scope, (GivenNames(names), told), lambda callback: callback).watching():
        model()
    assert [(row.module, row.parent) for row in ModuleCalls(rows[0].calls)] == [("model", -1), ("b", 0)]
    assert told.of.count(("entered unrecorded",)) == 2
    assert rows[0].call == -1


@pytest.mark.parametrize("is_over", [False, True])
def test_what_one_thread_is_in_the_middle_of_is_nothing_to_another(is_over: bool) -> None:
    model = Doing(lambda m: m.a(), a=Doing(lambda _: 1))
    rows, names = Rows(), {id(module): name or "model" for name, module in model.named_modules()}
    rows.suspended, rows.is_over = 1, is_over
    scope = OneRun(id(model), names)
    with ModuleFollower(rows, scope, (GivenNames(names),), lambda callback: callback).watching():
        model()
        thread = threading.Thread(target=model.a)
        thread.start()
        thread.join()
    assert rows.calls.module == ([] if is_over else ["a"])


def test_each_thread_has_calls_of_its_own() -> None:
    both = threading.Barrier(2)

    def meet(_: nn.Module) -> None:
        both.wait(10)

    def in_threads(model: nn.Module) -> None:
        threads = [threading.Thread(target=part) for part in (model.a, model.b)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    parts = {name: Doing(lambda m: m.c(), c=Doing(meet)) for name in "ab"}
    rows, _ = follow(Doing(in_threads, **parts))
    parents = {row.module: rows.calls.module[row.parent] for row in ModuleCalls(rows.calls) if row.parent >= 0}
    assert parents == {"a": "model", "b": "model", "a.c": "a", "b.c": "b"}
    assert [row.id for row in ModuleCalls(rows.calls)] == list(range(5))


def test_another_run_in_another_thread_is_none_of_this_one() -> None:
    other = Doing(lambda m: m.a(), a=Doing(lambda _: 1))

    def in_thread(model: nn.Module) -> None:
        if threading.current_thread() is threading.main_thread():
            for run in (model, other):
                thread = threading.Thread(target=run)
                thread.start()
                thread.join()
        model.a()

    rows, _ = follow(Doing(in_thread, a=Doing(lambda _: 1)))
    assert [row.module for row in ModuleCalls(rows.calls)] == ["model", "a"]


class Failing(CallObserver):
    def __init__(self, at: str) -> None:
        self.at = at

    def entered(self, call: RunningCall, module: nn.Module, inputs: Any) -> None:
        if self.at == "entered":
            raise LookupError

    def leaving(self, call: RunningCall, module: nn.Module, inputs: Any, output: Any) -> None:
        if self.at == "leaving":
            raise LookupError

    def left(self, call: RunningCall, module: nn.Module, output: Any, raised: BaseException | None) -> None:
        if self.at == "left":
            raise LookupError


@pytest.mark.parametrize("at", ["entered", "leaving", "left"])
def test_an_observer_that_fails_ends_the_observation_and_nothing_else(at: str) -> None:
    results = []

    def run(model: nn.Module) -> None:
        results.append(model.a())

    rows, _ = follow(Doing(run, a=Doing(lambda _: torch.ones(1))), [Failing(at)])
    assert [type(error) for error in rows.failed[:1]] == [LookupError]
    assert [result.item() for result in results] == [1.0]
    assert len(rows.calls) == (0 if at == "entered" else 2)
