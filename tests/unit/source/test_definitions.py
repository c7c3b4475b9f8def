"""From a line that uses a name to the line that gave it its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.location import SourceSpan
from gradflow.source.definitions import (
    argument_at,
    assignment_before,
    definition_of,
    loop_with_zip,
    receiver_at,
)

SOURCE = """\
weights = {"main": 1.0, "extra": 0.0}
layer = net.conv


def cam(layer, grads):
    fmap = acts[0]
    fmap = acts[1]
    out = grads * fmap
    fmap = None
    layer.register_forward_hook(print)
    return out + weights["extra"] * out
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "program.py"
    file.write_text(SOURCE)
    return str(file)


def span_of(path: str, text: str) -> SourceSpan:
    for number, line in enumerate(SOURCE.splitlines(), 1):
        if text in line:
            start = line.index(text) + 1
            return SourceSpan(path=path, line=number, column=start, end_line=number, end_column=start + len(text))
    raise AssertionError(text)


def test_the_last_assignment_before_the_line_counts(path: str) -> None:
    found = assignment_before(span_of(path, "grads * fmap"), "fmap")
    assert found is not None
    assert found.line == 7


def test_an_operand_is_followed_to_its_definition(path: str) -> None:
    product = span_of(path, "grads * fmap")
    found = definition_of(product, argument_at(product, 1))
    assert found is not None
    assert found.line == 7
    # a parameter of the function has no assignment
    assert definition_of(product, argument_at(product, 0)) is None


def test_a_key_of_a_dictionary_is_followed_to_its_value(path: str) -> None:
    product = span_of(path, 'weights["extra"] * out')
    found = definition_of(product, argument_at(product, 0))
    assert found is not None
    assert (found.line, found.column) == (1, 34)


def test_the_receiver_of_a_method(path: str) -> None:
    call = span_of(path, "layer.register_forward_hook(print)")
    receiver = receiver_at(call)
    assert receiver is not None
    # `layer` is the function's own argument here, and not what the module calls so
    found = definition_of(call, receiver)
    assert found is None


def test_code_that_cannot_be_read_is_no_error() -> None:
    nowhere = SourceSpan(path="<stdin>", line=1, column=1, end_line=1, end_column=2)
    assert argument_at(nowhere, 0) is None
    assert assignment_before(nowhere, "x") is None


HANDED = """\
import torch

def product(grads, fmap, *, scale=1):
    return grads * fmap

def outer(grads, maps):
    return product(grads, maps)

class Map:
    def weigh(self, grads, fmap):
        return grads * fmap

made = torch.ones(2)
kept.maps = torch.ones(3)
kept.maps = torch.zeros(3)
other.maps = 1
for one, two in zip(firsts, seconds):
    outer(made, kept.maps)
    outer(one, two)
    map(product, firsts, seconds)
    product(*firsts)
    Map().weigh(made, torch.relu(made))
"""


@pytest.fixture
def place(tmp_path: Path):
    file = tmp_path / "handed.py"
    file.write_text(HANDED)

    def find(text: str, function: str = "") -> SourceSpan:
        lines = HANDED.splitlines()
        first = next((number for number, line in enumerate(lines) if function and f"def {function}(" in line), 0)
        number = next(number for number, line in enumerate(lines) if number >= first and text in line) + 1
        start = lines[number - 1].index(text) + 1
        return SourceSpan(path=str(file), line=number, column=start, end_line=number, end_column=start + len(text))

    return find


@pytest.mark.parametrize(
    ("position", "calls", "line"),
    [
        (0, ["product(grads, maps)", "outer(made, kept.maps)"], "made = torch.ones(2)"),
        (1, ["product(grads, maps)", "outer(made, kept.maps)"], "kept.maps = torch.zeros(3)"),
        (0, ["product(grads, maps)"], ""),  # who called that is not known
        (0, ["map(product, firsts, seconds)"], ""),  # it was not called by this expression itself
        (0, ["product(*firsts)"], ""),
        (0, [], ""),
    ],
)
def test_what_a_function_is_given_was_made_by_its_caller(place, position: int, calls: list[str], line: str) -> None:
    here = place("grads * fmap", "product")
    found = definition_of(here, argument_at(here, position), [place(call) for call in calls])
    assert (HANDED.splitlines()[found.line - 1] if found is not None else "") == line


def test_a_method_is_not_given_its_object(place) -> None:
    here, call = place("grads * fmap", "weigh"), place("Map().weigh(made, torch.relu(made))")
    first, second = (definition_of(here, argument_at(here, position), [call]) for position in (0, 1))
    assert (first, second) == (place("made = torch.ones(2)"), place("torch.relu(made)"))


def test_the_loop_around_the_call(place) -> None:
    here = place("grads * fmap", "product")
    operands = [argument_at(here, position) for position in (0, 1)]
    inner = place("product(grads, maps)")
    assert loop_with_zip(here, operands, [inner, place("outer(one, two)")]) == place("zip(firsts, seconds)")
    assert loop_with_zip(here, operands, [inner, place("outer(made, kept.maps)")]) is None
    assert loop_with_zip(here, operands) is None
