"""Which operation gave the first number that is not finite."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.backward.forward_origin import forward_origin  # noqa: E402

X = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)


def found(tensor: torch.Tensor) -> str:
    origin = forward_origin(tensor.grad_fn)
    return "" if origin is None else origin.node.name().partition("Backward")[0]


@pytest.mark.filterwarnings("ignore:std")
def test_it_lies_behind_operations_that_only_pass_the_number_on() -> None:
    std = X.std(0)
    assert found(((X - X.mean(0)) / (std + 1e-5)).pow(3)) == "Std"


def test_operations_that_save_their_input_alone_are_judged_by_their_domain() -> None:
    zero = X - X.detach()
    assert found(zero.log() * X) == "Log"
    assert found((X / zero) * X) == "Div"
    assert found((zero - 1).pow(0.5).sin()) == "Pow"
    assert found((zero + 2).acos().sin()) == "Acos"


def test_a_slope_that_is_infinite_at_a_finite_result_is_no_matter_of_the_forward() -> None:
    assert found((X - X.detach()).sqrt()) == ""
    assert found((X - X.detach()).norm() * 2) == ""


def test_numbers_that_were_bad_from_the_start_are_given_to_the_first_that_works_with_them() -> None:
    data = torch.tensor([float("nan"), 1.0])
    weight = torch.ones(2, requires_grad=True)
    # what saves its result alone is not the first for that
    for made in (weight * data, (weight * data).tanh() * 2 * weight):
        origin = forward_origin(made.grad_fn, is_bad=True)
        assert origin is not None
        assert origin.is_given
        assert origin.node.name() == "MulBackward0"
    assert forward_origin((weight + data).sum().grad_fn, is_bad=True) is None
