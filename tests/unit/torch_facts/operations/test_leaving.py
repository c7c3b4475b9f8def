"""What leaves torch and comes back, what it is then, and what tells nothing of values: against torch itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.operations.table import OPERATIONS
from tests.unit.torch_facts.operations.calling import CALLED, call, calls_of


def _what(value: object) -> str:
    kinds = ((bool, "true or false"), (int, "whole-number"), ((float, complex, list), "number"), (np.ndarray, "array"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "")


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "leaves")])
def test_what_leaves_and_as_what(name: str) -> None:
    found = {_what(call(name, text).result) for text in calls_of(name)}
    kinds = {"decision": "true or false", "answer": "true or false"}
    kinds |= {word: word for word in ("whole-number", "number", "array")}
    assert found == ({kinds[word] for word in OPERATIONS[name].words & kinds.keys()} or {""})
    assert has(name, "capsule") == (found == {""})


@pytest.mark.parametrize(
    "name",
    [name for name in CALLED if OPERATIONS[name].words.isdisjoint({"leaves", "facts", "tells", "exposes", "switches"})],
)
def test_what_stays_gives_tensors(name: str) -> None:
    for text in calls_of(name):
        assert call(name, text).results or name in WITHOUT_RESULT


WITHOUT_RESULT = {"__setitem__": "writes", "histogramdd": "a tensor among others"}


def _moved(given: list[torch.Tensor]) -> None:
    for one in given:
        if one.is_floating_point():
            one.detach().mul_(0.5).add_(0.01)


NOT_COMPARED = {
    "data_ptr": "a place in memory", "__hash__": "of the object", "register_hook": "a handle",
    "register_post_accumulate_grad_hook": "a handle", "manual_seed": "a generator", "__reduce_ex__": "the whole tensor",
    "untyped_storage": "the memory itself", "_typed_storage": "the memory itself",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [n for n in CALLED if has(n, "facts") and not has(n, "tells") and n not in NOT_COMPARED and "retain" not in n],
)
def test_a_fact_is_none_of_the_values(name: str) -> None:
    for text in calls_of(name):
        one, other = call(name, text), call(name, text, change=_moved)
        assert one.result == other.result or type(one.result).__name__ in ("finfo", "iinfo")


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "tells")])
def test_a_text_has_the_values(name: str) -> None:
    one, other = call(name, calls_of(name)[0]), call(name, calls_of(name)[0], change=_moved)
    assert isinstance(one.result, str)
    assert one.result != other.result


@pytest.mark.parametrize("name", ["numpy", "__array__", "__dlpack__", "untyped_storage"])
def test_memory_is_handed_out(name: str) -> None:
    """What is written into it is in the tensor, whose counter has not moved."""
    x = torch.zeros(3)
    given = getattr(x, name)()
    array = np.asarray(given) if name in ("numpy", "__array__") else None
    if array is not None:
        array[0] = 1
    elif name == "untyped_storage":
        torch.tensor([], dtype=torch.float32).set_(given, 0, (3,))[0] = 1
    else:
        torch.from_dlpack(given)[0] = 1
    assert x[0] == 1
    assert x._version == 0
    assert has(name, "exposes")


@pytest.mark.parametrize("name", ["tensor", "as_tensor", "asarray"])
def test_what_takes_lists_and_arrays(name: str) -> None:
    assert has(name, "imports")
    for values in ([1.0, 2.0], np.array([1.0, 2.0])):
        assert getattr(torch, name)(values).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["from_numpy", "frombuffer", "from_dlpack"])
def test_what_takes_nothing_but_arrays(name: str) -> None:
    assert has(name, "from-arrays")
    assert not has(name, "imports")
    array = np.array([1.0, 2.0])
    made = getattr(torch, name)(array, **({"dtype": torch.float64} if name == "frombuffer" else {}))
    assert made.tolist() == [1.0, 2.0]
    with pytest.raises((TypeError, AttributeError, ValueError, RuntimeError)):
        getattr(torch, name)([1.0, 2.0])


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "rewraps", "detaches")])
def test_history_is_left_behind(name: str) -> None:
    for text in calls_of(name):
        made = call(name, text.replace("f(x)", "f(x * 1)"))
        assert all(one.grad_fn is None and one.is_leaf for one in made.results)


@pytest.mark.parametrize("name", [name for name in CALLED if has(name, "getter")])
def test_what_is_a_property(name: str) -> None:
    is_property = not callable(getattr(torch.Tensor, name))
    assert is_property


def test_a_flag_is_switched() -> None:
    x = torch.zeros(3)
    assert x.requires_grad_().requires_grad
    x.requires_grad = False
    assert not x.requires_grad
    assert has("requires_grad_", "switches")
    assert has("requires_grad=", "switches")
