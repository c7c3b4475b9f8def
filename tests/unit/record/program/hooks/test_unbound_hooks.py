"""Backward hooks of the old kind, of which torch does not tell the call: the one call since the last backward is it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.record.program.log import Log
from gradflow.record.program.watching import Watch
from gradflow.watch.explaining import explain_observation
from gradflow.watch.observation import Observation
from gradflow.watch.observing import observation_of

pytestmark = pytest.mark.filterwarnings("ignore")


def observed(calls_per_pass: int, passes: int) -> Observation:
    watch = Watch()
    layer = nn.Linear(2, 2)
    with watch.watching():
        layer.register_backward_hook(lambda *_: None)
        for _ in range(passes):
            x = torch.ones(1, 2, requires_grad=True)
            for _ in range(calls_per_pass):
                x = layer(x)
            x.sum().backward()
    return observation_of(watch)


def test_each_run_belongs_to_the_call_of_its_pass() -> None:
    observation = observed(1, passes=4)
    (hook,) = observation.program.hooks
    assert [run.call for run in hook.runs] == [0, 1, 2, 3]
    assert explain_observation(observation).diagnostics == ()


def test_one_whose_layer_gets_no_gradient_never_runs() -> None:
    watch = Watch()
    layer = nn.Linear(2, 2)
    with watch.watching():
        layer.register_backward_hook(lambda *_: None)
        hidden = layer(torch.ones(1, 2)).detach()
        (hidden * torch.ones(2, requires_grad=True)).sum().backward()
    observation = observation_of(watch)
    assert observation.program.hooks[0].runs == ()
    assert [one.name for one in explain_observation(observation).diagnostics] == ["detach"]


def test_of_several_calls_in_one_pass_none_is_meant() -> None:
    (hook,) = observed(2, passes=1).program.hooks
    assert [run.call for run in hook.runs] == [-1, -1]


def test_a_run_looks_at_two_calls_however_many_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows(list[int]):
        def __getitem__(self, where):
            assert where == 0 or (isinstance(where, slice) and where.start == -2)
            return super().__getitem__(where)

        def __iter__(self):
            raise AssertionError("went through all calls")

    made = Log.__init__

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        self.call_modules = Rows()

    monkeypatch.setattr(Log, "__init__", init)
    watch = Watch()
    layer = nn.Linear(2, 2)
    with watch.watching():
        layer.register_backward_hook(lambda *_: None)
        layer(torch.ones(1, 2, requires_grad=True)).sum().backward()
    assert len(watch.log.hooks[0].runs) == 1
