"""Behind a reentrant checkpoint gradients come by a real backward, of which nothing is left."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import gradflow  # noqa: E402


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.fc(x)).tanh()


class Net(nn.Module):
    def __init__(self, *, is_frozen: bool = False) -> None:
        super().__init__()
        self.stem, self.block, self.head = nn.Linear(3, 4), Block(), nn.Linear(4, 2)
        self.stem.requires_grad_(not is_frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(checkpoint(self.block, self.stem(x), use_reentrant=True))


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(5, 3)


def norm_by_backward(model: nn.Module, name: str, x: torch.Tensor) -> float:
    model(x)[0].max().backward()
    gradient = model.get_parameter(name).grad
    assert gradient is not None
    norm = float(gradient.norm())
    model.zero_grad()
    return norm


@pytest.mark.parametrize("name", ["stem.weight", "block.fc.weight", "head.weight"])
def test_every_parameter_gets_what_backward_gives_it(x: torch.Tensor, name: str) -> None:
    model = Net()
    report = gradflow.check(model, inputs=x, parameter=name)
    assert report.verdict == "connected"
    assert report.gradients[0].l2_norm == pytest.approx(norm_by_backward(model, name, x), rel=1e-5)


def test_a_layer_before_the_checkpoint_is_connected(x: torch.Tensor) -> None:
    assert gradflow.check(Net(), "stem", inputs=x).verdict == "connected"


@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_what_is_checkpointed_without_any_input_that_requires_grad_gets_none(x: torch.Tensor) -> None:
    report = gradflow.check(Net(is_frozen=True), inputs=x, parameter="block.fc.weight")
    assert report.verdict == "broken"
    assert [one.name for one in report.diagnostics] == ["reentrant-checkpoint"]


def test_gradients_buffers_and_hooks_are_as_they_were(x: torch.Tensor) -> None:
    model, filled = Net(), []
    model.block.fc.weight.register_post_accumulate_grad_hook(filled.append)
    mine = model.stem.weight.grad = torch.ones_like(model.stem.weight)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    report = gradflow.audit(model, inputs=x)
    assert not any(one.severity == "error" for one in report.diagnostics)
    assert model.stem.weight.grad is mine
    assert bool((mine == 1).all())
    assert [name for name, parameter in model.named_parameters() if parameter.grad is not None] == ["stem.weight"]
    assert all(torch.equal(buffers[name], buffer) for name, buffer in model.named_buffers())
    assert not filled
    model(x).sum().backward()
    assert len(filled) == 1


class Twice(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.fc(x).tanh()).tanh()


class Nested(Block):
    def inner(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x).tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            x = checkpoint(self.inner, x, use_reentrant=True)
        return x


class Detached(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x).detach() + x


class PartlyDetached(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc(x)
        return h * h.detach()


class OfBlocks(nn.Module):
    def __init__(self, block: nn.Module, count: int = 1) -> None:
        super().__init__()
        self.stem, self.block, self.head, self.count = nn.Linear(3, 4), block, nn.Linear(4, 2), count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for _ in range(self.count):
            x = checkpoint(self.block, x, use_reentrant=True)
        return self.head(x)


@pytest.mark.filterwarnings("ignore:None of the inputs")
@pytest.mark.parametrize("block", [Block, Twice, Nested])
def test_each_call_of_a_layer_gets_what_comes_to_the_one_that_backward_makes_of_it(
    x: torch.Tensor, block: type[Block]
) -> None:
    model = OfBlocks(block(), count=2)
    report = gradflow.check(model, "block.fc", inputs=x)
    assert (report.verdict, report.diagnostics) == ("connected", ())
    came: list[float] = []

    def kept(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: came.append(float(gradient.norm())))

    handle = model.block.fc.register_forward_hook(kept)
    model(x)[0].max().backward()
    handle.remove()
    norms = [one.l2_norm for one in report.gradients]
    # autograd comes to the last one first
    assert norms == pytest.approx(came[::-1], rel=1e-4)


@pytest.mark.parametrize(
    ("block", "verdict", "code"), [(Detached, "broken", "GF101"), (PartlyDetached, "wrong", "GF401")]
)
def test_what_is_cut_within_the_checkpoint_is_told_and_the_checkpoint_is_not(
    x: torch.Tensor, block: type[Block], verdict: str, code: str
) -> None:
    report = gradflow.check(OfBlocks(block()), "block.fc", inputs=x)
    assert (report.verdict, [one.code for one in report.diagnostics]) == (verdict, [code])
    assert "reentrant" not in str(report)


@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_a_layer_that_backward_does_not_run_again_gets_nothing(x: torch.Tensor) -> None:
    report = gradflow.check(Net(is_frozen=True), "block.fc", inputs=x)
    assert (report.verdict, [one.code for one in report.diagnostics]) == ("broken", ["GF112"])
