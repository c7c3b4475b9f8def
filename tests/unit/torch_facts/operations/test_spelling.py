"""Every name under which torch reports an operation leads to one row, and what tells the names apart is right."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from gradflow.torch_facts.operations.queries import is_reflected, words_of, writes_in_place
from gradflow.torch_facts.operations.spelling import ALIASES, INFIX, OPERATORS, operation_of
from gradflow.torch_facts.operations.table import OPERATIONS, spellings
from gradflow.torch_facts.operations.writing import written
from tests.unit.torch_facts.operations.calling import function_of

X, Y = torch.tensor([3.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 4.0], dtype=torch.float64)
WHOLE_X, WHOLE_Y = torch.tensor([6, 3]), torch.tensor([2, 1])
WHOLE = {"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift", "bitwise_not"}


class _Names(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


def _reported(expression: str, *, whole: bool) -> str:
    names = {"x": (WHOLE_X if whole else X).clone(), "y": WHOLE_Y if whole else Y}
    with _Names() as mode:
        exec(expression, names)
    assert len(mode.seen) == 1
    return mode.seen[0]


BINARY = sorted({(operation, sign) for operation, sign in INFIX.values()})


@pytest.mark.parametrize(("operation", "sign"), BINARY)
def test_an_operator_is_reported_as_its_operation(operation: str, sign: str) -> None:
    whole = operation in WHOLE
    name = _reported(f"x {sign} y", whole=whole)
    assert (operation_of(name), writes_in_place(name), is_reflected(name)) == (operation, False, False)


@pytest.mark.parametrize(("operation", "sign"), [one for one in BINARY if one[0] != "matmul"])
def test_in_place_and_with_a_number_before_it(operation: str, sign: str) -> None:
    whole = operation in WHOLE
    name = _reported(f"x {sign}= y", whole=whole)
    assert (operation_of(name), writes_in_place(name)) == (operation, True)
    name = _reported(f"3 {sign} x", whole=whole)
    commutes = operation in ("add", "mul", "bitwise_and", "bitwise_or", "bitwise_xor")
    assert (operation_of(name), is_reflected(name)) == (operation, not commutes)


@pytest.mark.parametrize(
    ("expression", "operation"),
    [("x == y", "eq"), ("x != y", "ne"), ("x < y", "lt"), ("x <= y", "le"), ("x > y", "gt"), ("x >= y", "ge"),
     ("-x", "neg"), ("+x", "positive"), ("abs(x)", "abs"), ("x[0]", "__getitem__")],
)  # fmt: skip
def test_the_other_operators(expression: str, operation: str) -> None:
    assert operation_of(_reported(expression, whole=False)) == operation


def test_every_method_of_an_operator_has_a_row() -> None:
    for name, (operation, _) in (INFIX | OPERATORS).items():
        assert operation in OPERATIONS, name


NOT_COMPARED = {
    "_foreach_zero": "of a list of tensors",
    "getitem": "as `operator` has it", "setitem": "as `operator` has it", "swish": "of other packages",
    "hard_sigmoid": "of other packages", "hard_swish": "of other packages", "upsample_nearest1d": "the dispatcher's",
    "vector_norm": "without its package", "matrix_norm": "without its package",
    "linalg_diagonal": "over the last axes where it is not told which, and `diagonal` over the first",
}  # fmt: skip


@pytest.mark.parametrize("alias", sorted(ALIASES.keys() - NOT_COMPARED.keys()))
def test_an_alias_gives_what_the_operation_gives(alias: str) -> None:
    s, v = torch.tensor([[0.3, 0.6], [0.2, 0.9]], dtype=torch.float64), torch.tensor([0.4, 0.7], dtype=torch.float64)
    one, other = function_of(alias), function_of(ALIASES[alias])
    for arguments in ((s, 0), (s,), (s, s + 0.1), (s, 0, 1), ([s, s],), (v, v), (s, 0.3, 0.6)):
        try:
            expected = other(*arguments)
        except (TypeError, RuntimeError, IndexError):
            continue
        torch.testing.assert_close(one(*arguments), expected)
        return
    pytest.fail("no call of it went through")


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("aten::add_.Tensor", "add"),
        ("add.Tensor", "add"),
        ("torch.linalg.vector_norm", "linalg_vector_norm"),
        ("torch.nn.functional.relu", "relu"),
        ("Mul.apply", "Mul.apply"),
        ("__float__", "__float__"),
        ("rand", "rand"),
        ("autograd.grad", "autograd"),
        ("mine_", "mine"),
    ],
)
def test_other_names(name: str, operation: str) -> None:
    assert operation_of(name) == operation


def test_what_is_unlike_stays_apart() -> None:
    """A cast, and the number of a tensor; a Function, and an operation of its name; a draw, and an operator."""
    assert words_of("float") != words_of("__float__")
    assert not words_of("mul.apply")
    assert operation_of("rand") != operation_of("__rand__")


@pytest.mark.parametrize("word", ["sums", "compares", "rectifies"])
def test_all_names_of_a_word_lead_back(word: str) -> None:
    assert spellings(word)
    assert all(word in words_of(name) for name in spellings(word))


def _written_to() -> dict[str, bool]:
    """Of every operator on tensors, whether its schema says that the first one is written to."""
    found: dict[str, bool] = {}
    for schema in torch._C._jit_get_all_schemas():
        given = schema.arguments
        is_of_tensors = schema.name.startswith("aten::") and bool(given) and str(given[0].type) == "Tensor"
        if is_of_tensors and not any(one.is_out for one in given):
            name = schema.name.removeprefix("aten::")
            found[name] = found.get(name, False) or given[0].is_write
    return found


def test_in_place_is_what_the_schema_says() -> None:
    """Not only of the operations of the table."""
    unlike = {name for name, writes in _written_to().items() if writes != writes_in_place(name)}
    assert unlike == UNLIKE_ITS_SCHEMA.keys()


UNLIKE_ITS_SCHEMA = {
    "requires_grad_": "a flag, and no version counter moves",
    "retain_grad": "a flag, and no version counter moves",
    "detach_": "changes the history alone: no version counter moves",
    "set_data": "the dispatcher's name of `data=`",
    "record_stream": "tells the allocator about a stream",
    "_no_grad_embedding_renorm_": "writes, and its schema does not say so",
    "_flash_attention_forward_no_dropout_inplace": "writes to a buffer of its own; torch calls it itself",
}


def test_signs() -> None:
    assert written("__radd__") == "+"
    assert written("__imul__") == "*="
    assert written("__invert__") == "~y"
    assert written("relu") == "relu"
