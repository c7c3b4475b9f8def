"""What a module or a model returns may be anything: it is not asked what it is, and the answer does not suffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.errors import ScoreError


class Refuses:
    def __init__(self, held: Tensor) -> None:
        object.__setattr__(self, "held", held)

    def __getattribute__(self, name: str) -> Any:
        if name == "held":
            return object.__getattribute__(self, name)
        raise RuntimeError(f"asked for {name}")


class Odd:
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def _raise(self, *_: object) -> Any:
        raise RuntimeError("asked")

    __eq__ = __bool__ = __len__ = __iter__ = __repr__ = _raise
    value = property(_raise)

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("asked for the class")


class Answers:
    def __init__(self, held: Tensor) -> None:
        self.__dict__["held"] = held

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        return self


class Closed(Mapping[str, Tensor]):
    """A mapping that gives nothing, such as a lazy frame whose file is closed."""

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __getitem__(self, key: str) -> Tensor:
        raise RuntimeError("closed")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("closed")

    def __len__(self) -> int:
        raise RuntimeError("closed")


def within_itself(held: Tensor) -> list[Any]:
    found: list[Any] = [held]
    found.append(found)
    return found


OUTPUTS: dict[str, Callable[[Tensor], Any]] = {
    "refuses": Refuses,
    "odd": Odd,
    "answers everything": Answers,
    "itself": within_itself,
    "closed": Closed,
}


class Part(nn.Module):
    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.make = nn.Linear(3, 3), make

    def forward(self, x: Tensor) -> Any:
        return self.make(self.layer(x))


class Whole(nn.Module):
    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.part, self.head = Part(make), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        given = self.part(x)
        tensor = given[0] if type(given) is list else given.held
        out: Tensor = self.head(tensor)
        return out


@pytest.mark.parametrize("name", OUTPUTS)
def test_of_a_module_in_the_middle(name: str) -> None:
    model, x = Whole(OUTPUTS[name]), torch.randn(2, 3)
    assert gradflow.check(model, "part", inputs=x).connected
    assert {one.state for one in gradflow.audit(model, inputs=x).parameters} == {"gradient"}
    with gradflow.explain(quiet=True) as explanation:
        model(x).sum().backward()
    assert explanation.report is not None
    assert explanation.report.diagnostics == ()
    assert explanation.report.undetermined == ()


@pytest.mark.parametrize("name", [name for name in OUTPUTS if name != "closed"])
def test_of_the_model(name: str) -> None:
    assert gradflow.check(Part(OUTPUTS[name]), "layer", inputs=torch.randn(2, 3)).connected


def test_of_one_that_gives_nothing_no_tensor_is_chosen() -> None:
    with pytest.raises(ScoreError, match="the model's output, a `Closed`, keeps its tensors where none is chosen from"):
        gradflow.check(Part(Closed), "layer", inputs=torch.randn(2, 3))
