"""What a model of an unknown file may take, found out before it takes it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.errors import LoadError
from gradflow.load.loading import load_workload
from gradflow.load.request import Request
from gradflow.load.trial.bounded import require_bounded

PICTURE = torch.randn(1, 1, 64, 64)


class DependsOnData(nn.Module):
    """Cannot run without data; ``factor`` is what it makes of a picture then."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        size = 64 * self.factor if x.mean().item() < 10 else 1
        return nn.functional.interpolate(x, size=(size, size)).sum()


class CannotBeCopied(nn.Upsample):
    """As some exported programs; it has no copy without data, and none with them."""

    def __deepcopy__(self, _memo):
        raise RuntimeError("not of this kind")


class Computes(nn.Module):
    """Anything, as an exported program can."""

    def __init__(self, compute):
        super().__init__()
        self.compute = compute

    def forward(self, x):
        return self.compute(x)


GREEDY = {
    "cannot be copied": CannotBeCopied(scale_factor=100_000),
    "reads the same again": Computes(lambda x: x.mean().expand(10**6, 10**7).sum()),
    "makes its own": Computes(lambda x: x.sum() + torch.ones(5 * 10**9, dtype=torch.int8, device="cpu").sum() * 2),
    "as many as the data say": Computes(lambda x: torch.repeat_interleave((x.sum() * 0 + 3 * 10**9).long().view(1))),
    "memory of one result": nn.Upsample(scale_factor=100_000),
    "memory of many results": nn.Sequential(*(nn.Upsample(scale_factor=s) for s in (200, *[1] * 20))),
    "padding": nn.Conv2d(1, 1, 1, padding=10**6),
    "a window": nn.Sequential(nn.Upsample(scale_factor=100), nn.MaxPool2d(3000, stride=1)),
    "a deep convolution": nn.Sequential(nn.Upsample(scale_factor=40), *[nn.Conv2d(1, 1, 101, padding=50)] * 400),
    "depends on data": DependsOnData(10_000),
}


@pytest.mark.parametrize("kind", GREEDY)
def test_a_model_that_takes_too_much_is_one_error(kind):
    with pytest.raises(LoadError, match="takes more than") as caught:
        require_bounded(GREEDY[kind], (PICTURE,), {}, "m.pt")
    assert "--trust" in caught.value.hint


MODEST = {
    "cannot be copied": CannotBeCopied(scale_factor=2),
    "size depends on data": Computes(lambda x: x[x > 0].sum() + x.nonzero().sum()),
    "view of the same": Computes(lambda x: x.mean().expand(10**6, 10**7)[:3, :3].sum()),
    "convolution": nn.Conv2d(1, 4, 3),
    "window": nn.MaxPool2d(60, stride=1),
    "depends on data": DependsOnData(2),
    "raises": nn.Linear(3, 3),
}


@pytest.mark.parametrize("kind", MODEST)
def test_an_ordinary_model_may_run_and_is_left_as_it_is(kind):
    model = MODEST[kind]
    state = torch.get_rng_state()
    require_bounded(model, (PICTURE,), {}, "m.pt")
    assert torch.equal(torch.get_rng_state(), state)
    assert getattr(model, "calls", 0) == 0
    assert all(not tensor.is_meta for tensor in model.parameters())


def test_many_operations_are_too_many(monkeypatch):
    monkeypatch.setattr("gradflow.load.trial.counting.MOST_OPERATIONS", 50)
    with pytest.raises(LoadError, match="more than 50 operations"):
        require_bounded(nn.Sequential(*[nn.ReLU()] * 60), (PICTURE,), {}, "m.pt")


def test_a_file_is_bounded_unless_it_is_trusted(tmp_path):
    torch.save(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Upsample(scale_factor=100_000)), tmp_path / "m.pt")
    request = {"model": str(tmp_path / "m.pt"), "input_shapes": ("1,1,64,64",)}
    with pytest.raises(LoadError, match="takes more than"):
        load_workload(Request(**request))
    assert load_workload(Request(**request, trust=True)).model
