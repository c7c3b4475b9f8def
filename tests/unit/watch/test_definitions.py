"""From a line that uses a name to the line that gave it its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.location import SourceSpan
from gradflow.watch.source.definitions import argument_at, assignment_before, definition_of, receiver_at

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
