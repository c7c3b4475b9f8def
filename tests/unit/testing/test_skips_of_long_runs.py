"""Of a run too long for its branches to be kept, it is not said that a skip is not there."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gradflow.errors import UsageError  # noqa: E402
from gradflow.graph import build  # noqa: E402
from gradflow.testing import GradientAssertionError, assert_skip_carries_gradient  # noqa: E402


class Block(nn.Module):
    def __init__(self, *, has_skip: bool) -> None:
        super().__init__()
        self.one, self.two, self.has_skip = nn.Linear(2, 2), nn.Linear(2, 2), has_skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.two(self.one(x).relu())
        return x + y if self.has_skip else y


class Net(nn.Module):
    def __init__(self, *, has_skip: bool) -> None:
        super().__init__()
        self.before, self.block = nn.Linear(2, 2), Block(has_skip=has_skip)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        for _ in range(20):
            x = x.tanh()
        x = self.block(x)
        for _ in range(20):
            x = x.tanh()
        return x


@pytest.mark.parametrize(("limit", "error"), [(5_000, GradientAssertionError), (20, UsageError)])
def test_no_skip_is_told_only_where_all_was_looked_at(
    limit: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "NODE_LIMIT", limit)
    text = "no skip connection" if limit == 5_000 else "is not determined"
    with pytest.raises(error, match=text):
        assert_skip_carries_gradient(Net(has_skip=False), "block", torch.rand(1, 2))


def test_a_skip_that_is_there_is_found() -> None:
    assert_skip_carries_gradient(Net(has_skip=True), "block", torch.rand(1, 2))
