"""Tensors that hang on a model without being its parameters, and what only looks like it."""

from __future__ import annotations

import torch
from torch import nn

from gradflow.record.modules.unregistered import find_unregistered


def names(model: nn.Module) -> list[str]:
    return [name for holder, _ in find_unregistered(model) for name in holder.names]


def test_layers_in_lists_and_dictionaries_are_found() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = [nn.Linear(2, 2, bias=False)]
            self.heads = {"a": nn.Linear(2, 2, bias=False), "b": [nn.Linear(2, 2, bias=False)]}

    assert names(Model()) == ["convs.0.weight", "heads.a.weight", "heads.b.0.weight"]


def test_the_holder_knows_where_it_is_assigned() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [nn.Linear(2, 2)]

    ((holder, _),) = find_unregistered(Model())
    assert (holder.owner, holder.attribute, holder.container, holder.is_layers) == ("", "blocks", "list", True)
    assert holder.span is not None
    assert holder.span.function.endswith("Model.__init__")


def test_a_list_that_is_filled_later_is_told_where_it_is_made() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = []
            for _ in range(2):
                self.blocks.append(nn.Linear(2, 2))

    ((holder, tensors),) = find_unregistered(Model())
    assert len(tensors) == 4
    assert holder.span is not None


def test_what_is_registered_elsewhere_frozen_or_computed_is_left_out() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2)])
            self.again = [self.layers[0]]
            self.weights = (self.layers[0].weight,)
            self.teacher = [nn.Linear(2, 2).requires_grad_(False)]
            self.constant = torch.ones(2)
            self.last = self.layers[0](torch.ones(1, 2))

    assert names(Model()) == []


def test_a_container_that_holds_itself_ends() -> None:
    model = nn.Linear(2, 2)
    loop: list[object] = []
    loop.append(loop)
    model.loop = loop
    assert names(model) == []


def test_a_layer_among_many_plain_things_is_found() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixed = {**{f"word {number}": number for number in range(100)}, "layer": nn.Linear(2, 2, bias=False)}
            self.plain = {f"word {number}": number for number in range(100)}
            self.nested = [1, 2, (3, [nn.Linear(2, 2, bias=False)])]

    assert names(Model()) == ["mixed.layer.weight", "nested.2.1.0.weight"]
