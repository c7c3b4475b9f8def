"""Parameters are put back also where an operation writes to them that does not say so, or that is not recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradflow
from gradflow.record.state import tensors
from gradflow.record.state.writes import run_announcing
from gradflow.record.state.written_arguments import written_arguments


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parameters are copied beforehand, whether something announces a write or not."""
    monkeypatch.setattr(tensors, "SMALL_BYTES", 0)


class Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        weight.data.mul_(0.5)
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


class InFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.layer = nn.Parameter(torch.ones(3)), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(Halve.apply(x, self.weight))  # type: ignore[no-any-return, no-untyped-call]


class InTransform(InFunction):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = torch.vmap(lambda row: row + self.weight.data.mul_(0.5).sum())(x)
        return self.layer(out)  # type: ignore[no-any-return]


class Statistics(nn.Module):
    """Running statistics as frozen parameters, as ported models have them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.mean = nn.Parameter(torch.zeros(3), requires_grad=False)
        self.var = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(self.layer(x), self.mean, self.var, training=True)


@pytest.fixture(scope="module")
def scaling() -> Iterator[Any]:
    """An operation of a program's own that declares what it writes to."""
    with torch.library._scoped_library("gradflow_tests_writes", "FRAGMENT") as library:
        library.define("scaled(Tensor x, Tensor(a!) weight) -> Tensor")

        def scaled(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            weight.mul_(0.5)
            return x * 2.0

        library.impl("scaled", scaled, "CompositeExplicitAutograd")
        yield torch.ops.gradflow_tests_writes.scaled


class Declared(InFunction):
    operation: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.operation(x, self.weight.data)
        return self.layer(x)  # type: ignore[no-any-return]


def _lookup(kind: type[Any]) -> tuple[nn.Module, torch.Tensor]:
    return nn.Sequential(kind(9, 6, max_norm=1.0), nn.Linear(6, 2)), torch.tensor([[1, 5, 3]])


MODELS: dict[str, Any] = {
    "an embedding with a largest norm": lambda: _lookup(nn.Embedding),
    "a bag with a largest norm": lambda: _lookup(nn.EmbeddingBag),
    "inside a custom Function": lambda: (InFunction(), torch.randn(4, 3)),
    "inside a transform": lambda: (InTransform(), torch.randn(4, 3)),
    "running statistics": lambda: (Statistics(), torch.randn(4, 3)),
}


def _values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _is_left_as_it_was(model: nn.Module, x: torch.Tensor) -> None:
    before = _values(model)
    reports = (gradflow.check(model, "*", inputs=x), gradflow.audit(model, inputs=x))
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any("put back" in text for report in reports for text in report.assumptions)
    model(x)  # near miss: the program itself does change it
    assert not all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize("name", MODELS)
def test_a_parameter_that_the_run_wrote_to_is_put_back(name: str) -> None:
    torch.manual_seed(0)
    _is_left_as_it_was(*MODELS[name]())


def test_what_an_operation_declares_to_write_to_is_put_back(scaling: Any) -> None:
    model = Declared()
    model.operation = scaling
    _is_left_as_it_was(model, torch.randn(4, 3))


def test_only_what_is_written_to_is_announced_and_the_result_is_the_same() -> None:
    weight, x = nn.Parameter(torch.randn(9, 6)), torch.tensor([1, 5])
    announced: list[Any] = []
    plain = run_announcing(functional.embedding, (x, weight), {}, announced.append)
    assert not announced
    assert torch.equal(plain, functional.embedding(x, weight))
    copied = nn.Parameter(weight.detach().clone())
    written = run_announcing(functional.embedding, (x, weight), {"max_norm": 0.5}, announced.append)
    assert [one.untyped_storage()._cdata for one in announced] == [weight.untyped_storage()._cdata]
    assert torch.equal(written, functional.embedding(x, copied, max_norm=0.5))


def test_which_arguments_a_function_of_torch_may_write_to() -> None:
    x, weight = torch.ones(2), torch.ones(3)
    assert written_arguments(functional.embedding, (x, weight), {}) == (weight,)
    assert written_arguments(functional.relu, (), {"input": x}) == (x,)
    assert written_arguments(functional.multi_head_attention_forward, (x,), {"attn_mask": weight}) == ()
    assert written_arguments(functional.layer_norm, (x, (3,), weight), {}) == ()
    assert written_arguments(torch.relu_, (x,), {}) == ()  # announced by its name


def test_an_audit_says_what_could_not_be_put_back() -> None:
    class Unseen(InFunction):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad(), torch._C.DisableTorchFunction():
                self.weight.mul_(0.5)
            return self.layer(x)  # type: ignore[no-any-return]

    report = gradflow.audit(Unseen(), inputs=torch.randn(4, 3))
    assert "could not be put back: `weight`" in report.assumptions
