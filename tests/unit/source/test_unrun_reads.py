"""Where a parameter would be read that nothing reads: a line of which nothing was recorded, and no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradflow


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.layer, self.kept = nn.Parameter(torch.ones(4)), nn.Linear(4, 2), torch.zeros(4)
        self.is_scaled = False


class Condition(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.is_scaled:
            x = x * self.scale
        return self.layer(x)  # type: ignore[no-any-return]


class Kept(Base):
    """What an earlier call of the user's has kept takes the place of the line."""

    def table(self) -> torch.Tensor:
        if self.kept is None:
            self.kept = torch.sin(
                self.scale,
            )
        return self.kept

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x + self.table())  # type: ignore[no-any-return]


class Unused(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.scale
        assert scale is not None
        assert self.scale.shape == (4,)
        return self.layer(x)  # type: ignore[no-any-return]


class Handed(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(_as_it_is(x, self.scale))  # type: ignore[no-any-return]


class ElsewhereOnly(Base):
    def regularizer(self) -> torch.Tensor:
        return (self.scale * 2).sum()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(functional.relu(x))  # type: ignore[no-any-return]


def _as_it_is(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return x.relu()


@pytest.mark.parametrize("kind", [Condition, Kept])
def test_the_line_that_would_read_it_is_shown_and_nobody_is_told_to_remove_it(kind: Callable[[], nn.Module]) -> None:
    report = gradflow.check(kind(), parameter="scale", inputs=torch.ones(2, 4), target=0)
    (found,) = report.diagnostics
    assert report.verdict == "unused"
    assert found.message.endswith("its value is not used in this run")
    assert found.label == "reads it, and did not run"
    (found,) = gradflow.audit(kind(), inputs=torch.ones(2, 4)).diagnostics
    assert [one.label for one in found.annotations] == ["reads `scale`, and did not run"]
    assert found.helps[0].text.startswith("see why that line does not run")


@pytest.mark.parametrize("kind", [Unused, Handed, ElsewhereOnly])
def test_what_no_line_would_read_is_not_used(kind: Callable[[], nn.Module]) -> None:
    report = gradflow.check(kind(), parameter="scale", inputs=torch.ones(2, 4), target=0)
    assert report.verdict == "unused"
    assert not any("did not run" in found.label for found in report.diagnostics)
    (found,) = gradflow.audit(kind(), inputs=torch.ones(2, 4)).diagnostics
    assert not found.annotations
    assert found.helps[0].text == "use it in `forward`, or remove it"
