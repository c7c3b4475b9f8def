"""What other threads and processes make and do is not noted, but that it was not; what this one does is."""

from __future__ import annotations

import gc
import multiprocessing
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from gradflow.record.program.watching import Watch
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observing import observation_of

TURNS = 60


def make_things(kept: list[object]) -> None:
    for _ in range(TURNS):
        layer = nn.Linear(2, 2)
        layer.register_forward_hook(lambda *_: None)
        layer.weight = nn.Parameter(torch.ones(2, 2))
        layer.requires_grad = True
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        kept.append(layer)


@pytest.fixture
def _many_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_many_switches")
@pytest.mark.parametrize("is_here", [True, False])
def test_only_this_thread_is_noted(is_here: bool) -> None:
    watch, kept = Watch(), list[object]()
    others = [threading.Thread(target=make_things, args=(kept,)) for _ in range(2)]
    with watch.watching():
        for thread in others:
            thread.start()
        if is_here:
            make_things(kept)
        for thread in others:
            thread.join()
    observation = watch.seen()
    count = TURNS * is_here
    assert observation.recording.completeness.is_to_the_end
    assert len(observation.hooks) == len(observation.optimizers) == count
    assert len({one.operation for one in observation.replacements}) == len(observation.module_flags) == count
    assert sum(len(optimizer.steps) for optimizer in observation.optimizers) == count
    (gap,) = observation.recording.completeness.lacks("backward passes")
    assert (gap.why, gap.missed) == ("another thread", 2 * TURNS)
    for event in ("steps", "hooks", "module calls"):
        (gap,) = observation.recording.completeness.lacks(event)
        assert (gap.why, gap.missed) == ("another thread", 2 * TURNS)
    assert not observation.recording.completeness.has_all("reads of .grad")
    assert observation.recording.completeness.is_to_the_end
    assert len(kept) == TURNS * (2 + is_here)


def test_an_optimizer_made_elsewhere_is_noted_when_it_steps_here() -> None:
    watch, layer, made = Watch(), nn.Linear(2, 1), list[torch.optim.Optimizer]()
    with watch.watching():
        thread = threading.Thread(target=lambda: made.append(torch.optim.SGD(layer.parameters(), lr=0.1)))
        thread.start()
        thread.join()
        layer(torch.ones(1, 2)).sum().backward()
        made[0].step()
    (optimizer,) = watch.seen().optimizers
    assert (len(optimizer.steps), optimizer.complete_steps) == (1, 1)


@pytest.mark.parametrize("is_here", [True, False])
def test_what_steps_elsewhere_is_not_said_never_to_step(is_here: bool) -> None:
    watch, layer = Watch(), nn.Linear(2, 1)
    with watch.watching():
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.ones(1, 2)).sum().backward()
            thread = threading.Thread(target=len if is_here else optimizer.step, args=("",) if is_here else ())
            thread.start()
            thread.join()
    report = explain_observation(observation_of(watch))
    assert any("never stepped" in sentence for sentence in report.seen) == is_here
    assert [one for one in report.undetermined if "3 optimizer steps did in other threads" in one] == (
        [] if is_here else list(report.undetermined)
    )


@pytest.mark.parametrize(("is_held", "is_kept"), [(True, True), (False, True), (False, False)])
def test_what_an_optimizer_that_was_made_elsewhere_may_hold_is_not_said_to_be_held_by_none(
    is_held: bool, is_kept: bool
) -> None:
    watch, body, head = Watch(), nn.Linear(2, 2), nn.Linear(2, 1)
    with watch.watching():
        own = torch.optim.SGD(body.parameters(), lr=0.1)
        other = do_elsewhere(lambda: torch.optim.SGD((head if is_held else nn.Linear(1, 1)).parameters(), lr=0.1))
        if not is_kept:
            del other  # what it held nobody can say any more
            gc.collect()
        for _ in range(4):
            own.zero_grad()
            head(body(torch.ones(1, 2))).square().sum().backward()
            own.step()
    report = explain_observation(observation_of(watch))
    assert any("no optimizer that was seen holds" in said for said in report.seen) == (is_kept and not is_held)
    assert not watch.seen().recording.completeness.has_all("optimizers")


@pytest.mark.parametrize("how", ["here", "in another thread", "without function modes"])
def test_a_flag_that_was_switched_elsewhere_is_not_taken_for_the_last_one_seen(how: str) -> None:
    watch, layer, is_here = Watch(), nn.Linear(2, 1), how == "here"
    run = {"here": do, "in another thread": do_elsewhere}.get(how, do_without_function_modes)
    with watch.watching():
        layer.weight.requires_grad_(False)
        layer(torch.ones(1, 2)).sum().backward()
        run(lambda: layer.weight.requires_grad_(True))
        layer(torch.ones(1, 2)).detach().requires_grad_().sum().backward()
        gradient = layer.weight.grad
    assert gradient is None
    report = explain_observation(observation_of(watch))
    assert [one.name for one in report.diagnostics] == (["detach"] if is_here else [])
    assert [said for said in report.undetermined if "`requires_grad` was switched where" in said] == (
        [] if is_here else list(report.undetermined)
    )
    assert watch.seen().recording.completeness.has_all("flag changes") == is_here


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_gradient_that_a_switch_elsewhere_kept_away_is_not_determined(elsewhere: bool) -> None:
    watch = Watch()
    w, v = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    with watch.watching():
        (w * 1).sum().item()
        if elsewhere:
            thread = threading.Thread(target=w.requires_grad_, args=(False,))
            thread.start()
            thread.join()
        (v * 2 * w).sum().backward()
        str(w.grad)
    doubts = explain_observation(observation_of(watch)).undetermined
    assert any("`requires_grad` was switched where gradflow does not look" in doubt for doubt in doubts) is elsewhere


@pytest.mark.parametrize("runs_torch", [True, False])
def test_only_a_thread_that_runs_torch_may_have_read_gradients(runs_torch: bool) -> None:
    watch, layer = Watch(), nn.Linear(2, 1)
    with watch.watching():
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for is_cleared in (True, False) * 2:
            layer(torch.ones(1, 2)).sum().backward()
            do_elsewhere((lambda: (layer(torch.ones(1, 2)), layer.weight.grad)) if runs_torch else list)
            if not is_cleared:
                optimizer.step()
            optimizer.zero_grad()
    observation = observation_of(watch)
    assert observation.recording.completeness.has_all("reads of .grad", "operations") == (not runs_torch)
    assert observation.recording.completeness.has_all("backward passes", "steps", "hooks", "optimizers")
    said = explain_observation(observation).seen
    assert any("was cleared before an optimizer stepped" in one for one in said) == (not runs_torch)


@pytest.mark.parametrize(("is_shared", "starts"), [("layer", True), ("input", True), ("layer", False), ("", True)])
def test_parameters_in_shared_memory_may_be_trained_by_another_process(is_shared: str, starts: bool) -> None:
    watch, layer, x = Watch(), nn.Linear(2, 1), torch.ones(1, 2)
    if is_shared == "layer":
        layer.share_memory()
    elif is_shared:
        x.share_memory_().requires_grad_()
    with watch.watching():
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        if starts:
            process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0,))
            process.start()
            process.join()
        for _ in range(2):
            layer(x).sum().backward()
    report = explain_observation(observation_of(watch))
    is_reached = is_shared == "layer" and starts
    assert any("never stepped" in said for said in report.seen) == (not is_reached)
    assert any("other processes" in said for said in report.undetermined) == is_reached
    del optimizer


def do(work: Callable[[], object]) -> object:
    return work()


def do_without_function_modes(work: Callable[[], object]) -> object:
    with torch._C.DisableTorchFunction():
        return work()


def do_elsewhere(work: Callable[[], object]) -> object:
    done = list[object]()
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


def test_a_module_that_ran_elsewhere_is_noted_under_the_number_of_one_that_is_gone() -> None:
    watch, gone, again = Watch(), nn.Linear(2, 1), nn.Linear(2, 1)
    with watch.watching(), ThreadPoolExecutor(1) as pool:
        watch.log.called_elsewhere[id(again)] = weakref.ref(gone)
        del gone
        pool.submit(again, torch.ones(1, 2)).result()
    assert watch.log.called_elsewhere[id(again)]() is again


@pytest.mark.parametrize("groups", [None, "as made"])
def test_an_odd_optimizer_of_another_thread_may_hold_anything(groups: object) -> None:
    watch, made = Watch(), list[torch.optim.Optimizer]()
    weight, other = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)

    def work() -> None:
        made.append(torch.optim.SGD([other], lr=0.1))
        if groups is None:
            vars(made[0])["param_groups"] = groups

    with watch.watching():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        (weight * other).sum().backward()
    seen = watch.seen()
    assert seen.recording.completeness.is_to_the_end
    held_unseen = seen.recording.completeness.lacks("optimizers")[0].values
    assert (held_unseen is None) == (groups is None)


def test_a_gap_that_cannot_be_told_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    with watch.watching():
        torch.ones(3, requires_grad=True).sum().backward()
    assert watch.seen().recording.completeness.is_to_the_end
    monkeypatch.setattr(watch.log, "elsewhere", None)
    seen = watch.seen()
    assert not seen.recording.completeness.is_to_the_end
    assert len(seen.backwards) == 1


def test_where_it_cannot_be_told_what_other_threads_used_the_report_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch, layer = Watch(), nn.Linear(3, 1)
    with watch.watching(), ThreadPoolExecutor(1) as pool:
        pool.submit(layer, torch.ones(1, 3)).result()
        torch.ones(3, requires_grad=True).sum().backward()
    assert watch.seen().recording.completeness.is_to_the_end
    monkeypatch.setattr(watch.recorder, "known_value", None)
    seen = watch.seen()
    assert not seen.recording.completeness.is_to_the_end
    assert len(seen.backwards) == 1
