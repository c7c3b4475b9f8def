"""A recording that was taken can only be read, but for its columns; and what goes on is copied by its name alone."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from gradflow.record.program.noted.optimizers import NotedOptimizer
from gradflow.record.program.watching import Watch
from gradflow.recording import OperationColumns, ValueColumns
from gradflow.recording.frozen import event_of
from gradflow.recording.plain_data import from_plain_data, to_plain_data
from gradflow.recording.program.events import Optimizer


def writable(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, (OperationColumns, ValueColumns)):
        return
    if isinstance(value, (list, set, dict)):
        yield path
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from writable(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from writable(each, f"{path}[]")
    elif isinstance(value, (tuple, frozenset)):
        for each in value:
            yield from writable(each, f"{path}[]")


def test_a_recording_of_a_program_can_only_be_read() -> None:
    watch, layer = Watch(), nn.Linear(2, 1)
    with watch.watching():
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        layer.register_forward_hook(lambda *_: None)
        for _ in range(2):
            layer(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        layer.weight.requires_grad_(False)
    seen = watch.seen()
    assert seen.cleared
    assert seen.backwards[0].arrived
    assert not list(writable(seen))
    assert list(writable(dataclasses.replace(seen, cleared={1: (2, 3)}))) == [".cleared"]


def test_what_goes_on_of_an_optimizer_is_a_field_of_the_event() -> None:
    names = {field.name for field in dataclasses.fields(Optimizer)}
    assert {field.name for field in dataclasses.fields(NotedOptimizer)} - names == {"made"}
    made = Optimizer(type_name="SGD", site=-1, operation=0, parameters=(1,), since=7)
    noted = NotedOptimizer(made=made, parameters=(1, 2), steps=[(3, 4)], filled={1}, added={2: 5})
    event = noted.so_far()
    assert (event.since, event.parameters, event.steps) == (7, (1, 2), ((3, 4),))
    assert (event.filled, event.added) == (frozenset({1}), {2: 5})
    noted.added[3] = 6
    assert event.added == {2: 5}
    with pytest.raises(TypeError):
        event.added[3] = 6  # type: ignore[index]
    assert event_of(made, noted) == noted.so_far() != event


def there_and_back(seen: Any) -> Any:
    return from_plain_data(to_plain_data(seen))


@pytest.mark.parametrize("carry", [lambda seen: pickle.loads(pickle.dumps(seen)), copy.deepcopy, there_and_back])
def test_a_recording_can_be_carried_elsewhere_and_is_read_only_there(carry: Callable[[Any], Any]) -> None:
    watch, layer = Watch(), nn.Linear(2, 1)
    with watch.watching():
        layer(torch.ones(1, 2)).sum().backward()
        layer.zero_grad()
    seen = watch.seen()
    carried = carry(seen)
    assert carried.cleared == seen.cleared != {}
    assert not list(writable(carried))
    with pytest.raises(TypeError):
        carried.cleared[1] = ()
