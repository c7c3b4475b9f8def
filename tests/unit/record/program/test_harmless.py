"""Functions that may be called again, and those that may not."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradflow.record.program.harmless import is_harmless  # noqa: E402

COUNTS: list[int] = []
FACTOR = 2.0


def helper(x):  # type: ignore[no-untyped-def]
    return x.exp() * FACTOR


def counting_helper(x):  # type: ignore[no-untyped-def]
    COUNTS.append(1)
    return x


def first(x):  # type: ignore[no-untyped-def]
    return helper(x)


def second(x):  # type: ignore[no-untyped-def]
    return first(x) + first(x)


def third(x):  # type: ignore[no-untyped-def]
    return second(x) + second(x)


def fourth(x):  # type: ignore[no-untyped-def]
    return third(x)


def calls_itself(x):  # type: ignore[no-untyped-def]
    return calls_itself(x / 2) if x.norm() > 1 else x


def function_of(forward):  # type: ignore[no-untyped-def]
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient

    return type(
        "Made", (torch.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    )


def uses_torch(ctx, x):  # type: ignore[no-untyped-def]
    ctx.save_for_backward(x)
    ctx.scale = math.sqrt(x.shape[-1])
    y = torch.zeros_like(x)
    y[0] = helper(x)[0]
    return torch.nn.functional.relu(y) * max(1.0, ctx.scale)


def prints(ctx, x):  # type: ignore[no-untyped-def]
    print(x.shape)  # noqa: T201
    return x * 2


def counts(ctx, x):  # type: ignore[no-untyped-def]
    COUNTS.append(1)
    return x * 2


def counts_elsewhere(ctx, x):  # type: ignore[no-untyped-def]
    return counting_helper(x) * 2


def saves(ctx, x):  # type: ignore[no-untyped-def]
    torch.save(x, "x.pt")
    return x * 2


def communicates(ctx, x):  # type: ignore[no-untyped-def]
    torch.distributed.all_reduce(x)
    return x * 2


def calls_what_it_is_given(ctx, x, run):  # type: ignore[no-untyped-def]
    return run(x)


def goes_deep(ctx, x):  # type: ignore[no-untyped-def]
    return fourth(x)


def may_go_on_for_ever(ctx, x):  # type: ignore[no-untyped-def]
    return calls_itself(x)


def loops(ctx, x):  # type: ignore[no-untyped-def]
    while x.norm() > 1:
        x = x / 2
    return x


def seeds(ctx, x):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return x * torch.rand_like(x)


def test_what_works_on_its_arguments_alone_is_harmless() -> None:
    assert is_harmless(function_of(uses_torch))
    assert is_harmless(function_of(goes_deep))


@pytest.mark.parametrize(
    "forward",
    [prints, counts, counts_elsewhere, saves, communicates, calls_what_it_is_given, loops, may_go_on_for_ever, seeds],
)
def test_what_does_anything_else_is_left_alone(forward) -> None:  # type: ignore[no-untyped-def]
    assert not is_harmless(function_of(forward))


def test_a_class_without_source_is_left_alone() -> None:
    space: dict[str, object] = {}
    exec("def forward(ctx, x):\n    return x * 2", space)
    assert not is_harmless(function_of(space["forward"]))


@pytest.mark.parametrize(("depth", "expected"), [(20, True), (1500, False)])
def test_helpers_that_call_one_another_deeper_than_python_can_are_not_known(
    tmp_path: Path, depth: int, expected: bool
) -> None:
    helpers = ["def helper_0(x): return x * 2"]
    helpers += [f"def helper_{number}(x): return helper_{number - 1}(x)" for number in range(1, depth)]
    (tmp_path / "deep.py").write_text("\n".join([*helpers, f"def backward(ctx, x): return helper_{depth - 1}(x)"]))
    assert is_harmless(function_of(runpy.run_path(str(tmp_path / "deep.py"))["backward"])) is expected
