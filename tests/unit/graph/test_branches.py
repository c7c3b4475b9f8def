from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.graph.branches import OperationView, RawBranch, find_branches


def find(
    operations: list[tuple[str, list[int]]] | list[tuple[str, list[int], str]], cut: set[tuple[int, int]] = frozenset()
) -> tuple[RawBranch, ...]:
    """Branches of a graph given as (name, producers[, module]) in order of execution; all lie on the way."""
    return find_branches(
        range(len(operations)),
        {number: operation[1] for number, operation in enumerate(operations)},
        lambda producer, consumer: (producer, consumer) not in cut,
        lambda number: OperationView(
            name=operations[number][0], module=operations[number][2] if len(operations[number]) > 2 else ""
        ),
    )


def test_a_chain_has_none() -> None:
    assert find([("conv2d", []), ("relu", [0]), ("linear", [1])]) == ()


@pytest.mark.parametrize("add", ["add", "add_", "__iadd__", "__radd__", "__sub__", "aten::add.Tensor"])
def test_every_spelling_of_a_sum_joins(add: str) -> None:
    (branch,) = find([("relu", []), ("conv2d", [0]), (add, [1, 0])])
    assert (branch.fork, branch.join, branch.kind) == (0, 2, "identity skip")
    assert [path.nodes for path in branch.paths] == [(1,), ()]


def test_module_is_what_join_and_paths_have_in_common() -> None:
    (branch,) = find(
        [("relu", [], "stem"), ("conv2d", [0], "net.layer1.0.conv1"), ("add", [1, 0], "net.layer1.0")],
    )
    assert branch.module == "net.layer1.0"
    (branch,) = find([("relu", [], "a"), ("conv2d", [0], "net.layer1"), ("add", [1, 0], "net.layer10")])
    assert branch.module == "net"


def test_projection_skip() -> None:
    (branch,) = find(
        [("relu", []), ("conv2d", [0]), ("relu", [1]), ("conv2d", [2]), ("conv2d", [0]), ("add", [3, 4])],
    )
    assert branch.kind == "projection skip"


def test_equal_sides_are_parallel() -> None:
    (branch,) = find([("relu", []), ("conv2d", [0]), ("conv2d", [0]), ("add", [1, 2])])
    assert branch.kind == "parallel"


def test_a_sum_of_many_is_one_join() -> None:
    (branch,) = find(
        [("relu", []), ("conv2d", [0]), ("conv2d", [0]), ("batch_norm", [0]), ("add", [1, 2]), ("add", [4, 3])],
    )
    assert (branch.kind, branch.join) == ("identity skip", 5)
    assert [path.nodes for path in branch.paths] == [(1, 4), (2, 4), (3,)]


def test_gate() -> None:
    (branch,) = find(
        [("relu", []), ("adaptive_avg_pool2d", [0]), ("conv2d", [1]), ("sigmoid", [2]), ("mul", [3, 0])],
    )
    assert branch.kind == "gate"
    assert branch.paths[1].is_identity


@pytest.mark.parametrize(
    "operations",
    [
        [("linear", []), ("sigmoid", [0]), ("mul", [0, 1])],
        [("linear", []), ("mean", [0]), ("sub", [0, 1]), ("pow", [2]), ("mean", [3]), ("rsqrt", [4]), ("mul", [2, 5])],
        [("linear", []), ("getitem", [0]), ("getitem", [0]), ("cat", [1, 2])],
        [("linear", []), ("mul", [0, 0])],
    ],
    ids=["swish", "layer norm", "rotate half", "square"],
)
def test_glue_is_not_a_branch(operations: list[tuple[str, list[int]]]) -> None:
    assert find(operations) == ()


def test_attention_as_one_operation() -> None:
    (branch,) = find([("layer_norm", []), ("multi_head_attention_forward", [0, 0, 0]), ("linear", [1])])
    assert (branch.kind, branch.fork, branch.join) == ("attention", 0, 1)
    assert [path.is_identity for path in branch.paths] == [True] * 3


def test_dense_block_is_one_branch() -> None:
    operations: list[tuple[str, list[int]]] = [("relu", [])]
    features = [0]
    for _ in range(5):
        operations.append(("cat", list(features)))
        operations.append(("conv2d", [len(operations) - 1]))
        features.append(len(operations) - 1)
    operations.append(("cat", list(features)))
    (branch,) = find(operations)
    assert (branch.kind, branch.fork, branch.join) == ("dense concatenation", 0, len(operations) - 1)
    assert [path.nodes for path in branch.paths] == [(), *((2 * i - 1, 2 * i) for i in range(1, 6))]


def test_chain_of_concatenations_of_the_last_with_something_new_is_one_branch() -> None:
    (branch,) = find(
        [("relu", []), ("conv2d", [0]), ("cat", [0, 1]), ("conv2d", [2]), ("cat", [2, 3]), ("linear", [4])],
    )
    assert (branch.kind, branch.fork, branch.join) == ("dense concatenation", 0, 4)
    assert [path.nodes for path in branch.paths] == [(), (1,), (3,)]


def test_long_skip_around_other_skips() -> None:
    outer, first, second = find(
        [("conv2d", []), ("relu", [0]), ("conv2d", [1]), ("add", [2, 1]), ("conv2d", [3]), ("add", [4, 3]),
         ("conv2d", [5]), ("add", [6, 0])],
    )  # fmt: skip
    assert (outer.kind, outer.fork, outer.join) == ("long skip", 0, 7)
    assert (first.kind, second.kind) == ("identity skip", "identity skip")


def test_cut_on_a_path() -> None:
    operations = [("relu", []), ("conv2d", [0]), ("detach", [0]), ("add", [1, 2])]
    (branch,) = find(operations, cut={(0, 2)})
    assert [path.carries_gradient for path in branch.paths] == [True, False]
    (branch,) = find([("relu", []), ("conv2d", [0]), ("add", [1, 0])], cut={(0, 2)})
    assert [path.carries_gradient for path in branch.paths] == [True, False]
    (branch,) = find([("relu", []), ("conv2d", [0]), ("relu", [1]), ("add", [2, 0])], cut={(0, 1)})
    assert [path.carries_gradient for path in branch.paths] == [False, True]


def test_a_cut_that_another_way_of_the_same_path_goes_around() -> None:
    operations = [("relu", []), ("conv2d", [0]), ("conv2d", [1]), ("mul", [2, 1]), ("linear", [3]), ("add", [4, 0])]
    outer, inner = find(operations, cut={(1, 2)})
    assert (outer.join, inner.join) == (5, 3)
    assert [path.carries_gradient for path in outer.paths] == [True, True]
    assert [path.carries_gradient for path in inner.paths] == [False, True]


def test_a_product_of_equals_is_told_only_where_a_path_is_cut() -> None:
    operations = [("relu", []), ("linear", [0]), ("linear", [0]), ("mul", [1, 2])]
    assert find(operations) == ()
    (branch,) = find(operations, cut={(0, 1)})
    assert branch.kind == "other"


def test_calls_of_the_layer_have_no_fork() -> None:
    assert find([("conv2d", []), ("conv2d", []), ("add", [0, 1])]) == ()


def test_what_only_takes_the_shape_does_not_branch() -> None:
    operations = [("relu", []), ("new_zeros", [0]), ("softmax", [1]), ("linear", [0]), ("add", [3, 2])]
    assert find(operations) == ()


def test_producers_outside_the_way_are_ignored() -> None:
    found = find_branches(
        [10, 20, 30], {10: [3], 20: [10, 4], 30: [20, 10, 5]}, lambda _, __: True,
        lambda number: OperationView(name={10: "relu", 20: "conv2d", 30: "add"}[number], module=""),
    )  # fmt: skip
    assert [(branch.fork, branch.join) for branch in found] == [(10, 30)]


@st.composite
def random_operations(draw: st.DrawFn) -> list[tuple[str, list[int]]]:
    names = st.sampled_from(["conv2d", "relu", "add", "cat", "mul", "matmul", "sigmoid", "softmax", "interpolate"])
    count = draw(st.integers(2, 30))
    return [("conv2d", [])] + [
        (draw(names), draw(st.lists(st.integers(max(0, number - 6), number - 1), min_size=1, max_size=3)))
        for number in range(1, count)
    ]


@given(random_operations())
@settings(max_examples=200, deadline=None)
def test_every_branch_is_a_region_of_the_graph(operations: list[tuple[str, list[int]]]) -> None:
    for branch in find(operations):
        assert branch.fork < branch.join
        assert len(branch.paths) >= 2
        inside = {node for path in branch.paths for node in path.nodes}
        for node in inside:
            assert branch.fork < node < branch.join
            # a concatenation within is looked through: its own producers are inside
            makers = [producer for producer in operations[node][1] if operations[producer][0] != "cat"]
            assert all(producer in inside or producer == branch.fork for producer in makers)
        assert all(path.carries_gradient for path in branch.paths)
        assert all(tuple(sorted(set(path.nodes))) == path.nodes for path in branch.paths)


def residual_chain(count: int) -> list[tuple[str, list[int]]]:
    operations: list[tuple[str, list[int]]] = [("conv2d", [])]
    while len(operations) < count:
        last = len(operations) - 1
        operations += [("conv2d", [last]), ("relu", [last + 1]), ("add", [last + 2, last])]
    return operations


def two_streams(count: int) -> list[tuple[str, list[int]]]:
    operations: list[tuple[str, list[int]]] = [("conv2d", []), ("linear", [0]), ("linear", [0])]
    while len(operations) < count:
        left, right = len(operations) - 2, len(operations) - 1
        operations += [("add", [left, right]), ("mul", [left, right]), ("linear", [left + 2]), ("linear", [right + 2])]
    return operations


def recurrent_cell(count: int) -> list[tuple[str, list[int]]]:
    operations: list[tuple[str, list[int]]] = [("linear", []), ("linear", [0])]
    hidden, state = 0, 1
    while len(operations) < count:
        k = len(operations)
        operations += [("linear", [hidden]), ("chunk", [k]), ("sigmoid", [k + 1]), ("tanh", [k + 1])]
        operations += [
            ("mul", [k + 2, state]),
            ("mul", [k + 2, k + 3]),
            ("add", [k + 4, k + 5]),
            ("mul", [k + 6, k + 2]),
        ]
        hidden, state = k + 7, k + 6
    return operations


def test_a_recurrent_cell_written_out_is_a_tangle_not_a_gate() -> None:
    assert find(recurrent_cell(2_000)) == ()


def dense(count: int) -> list[tuple[str, list[int]]]:
    operations: list[tuple[str, list[int]]] = [("conv2d", [])]
    features = [0]
    while len(operations) * len(features) < 4 * count:
        operations += [("cat", list(features)), ("conv2d", [len(operations)])]
        features.append(len(operations) - 1)
    return operations


def long_sum(count: int) -> list[tuple[str, list[int]]]:
    operations: list[tuple[str, list[int]]] = [("conv2d", [])] + [("linear", [0])] * (count // 2)
    total = 1
    for term in range(2, count // 2):
        operations.append(("add", [total, term]))
        total = len(operations) - 1
    return operations


def gathered_steps(count: int) -> list[tuple[str, list[int]]]:
    operations: list[tuple[str, list[int]]] = [
        ("linear", [max(0, number - 1)] if number else []) for number in range(count)
    ]
    return [*operations, ("cat", list(range(count)))]


@pytest.mark.parametrize("shape", [residual_chain, two_streams, recurrent_cell, dense, long_sum, gathered_steps])
def test_time_grows_about_linearly(shape: object) -> None:
    def seconds(size: int) -> float:
        operations = shape(size)  # type: ignore[operator]
        started = time.process_time()
        find(operations)
        return time.process_time() - started

    small = min(seconds(1_000) for _ in range(3))
    large = min(seconds(10_000) for _ in range(2))
    # ten times the size: a quadratic method takes a hundred times as long
    assert large < 50 * max(small, 2e-3)
