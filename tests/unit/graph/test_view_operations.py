"""Of several outputs, one that is a view of an input shows that input, and not the others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.graph.dependence import analyse, inputs_behind
from gradflow.graph.ways_to_score import upstream_of, ways_to_score
from gradflow.location import SiteTable
from gradflow.record.recorder import Recorder
from gradflow.recording import OperationColumns, Recording, ValueColumns

SPREAD, SCORE = 0, 1


def spread(memory: list[int], *, are_views: bool = True) -> Recording:
    """``c, d = spread(a, b); score = sum(d)``: values 0 to 4, of which a, c and the score require grad."""
    return Recording(
        operations=OperationColumns(
            name=[0, 1],
            site=[0, 1],
            call=[-1, -1],
            mode=[0, 0],
            region=[-1, -1],
            sequence_start=[0, 1],
            sequence_end=[1, 2],
            inputs=[0, 1, 3],
            argument=[0, 1, 0],
            input_start=[0, 2, 3],
            outputs=[2, 3, 4],
            output_start=[0, 2, 3],
        ),
        values=ValueColumns(
            producer=[-1, -1, SPREAD, SPREAD, SCORE],
            requires_grad=[True, False, True, False, True],
            shape=[(2,)] * 5,
            dtype=[0] * 5,
            memory=memory,
        ),
        names=("spread", "sum"),
        dtypes=("float32",),
        spans=(),
        calls=(),
        leaf_names={},
        score=4,
        layer_values={},
        view_operations=frozenset({SPREAD} if are_views else ()),
    )


def test_a_view_is_made_of_what_it_shows():
    recording = spread([0, 1, 0, 1, 4])
    assert (inputs_behind(recording, SPREAD, 2), inputs_behind(recording, SPREAD, 3)) == ([0], [1])
    found = analyse(recording, (0,))
    assert not found.score_depends
    assert not found.cuts
    assert found.depends[2]
    assert not found.reaches[0]
    assert found.reaches[1]
    assert analyse(recording, (1,)).score_depends
    assert ways_to_score(recording).obstacles[:2] == [None, ()]
    assert list(upstream_of(recording, SCORE)) == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("memory", "are_views"),
    [
        pytest.param([0, 1, 2, 3, 4], True, id="new memory"),
        pytest.param([0, 1, 0, 3, 4], True, id="only the other is a view"),
        pytest.param([0, 1, 1, 1, 4], True, id="the other input says what is shown"),
        pytest.param([0, 1, 0, 1, 4], False, id="something was written"),
    ],
)
def test_what_is_no_view_of_one_input_is_made_of_all(memory, are_views):
    recording = spread(memory, are_views=are_views)
    assert list(inputs_behind(recording, SPREAD, 3)) == [0, 1]
    assert analyse(recording, (0,)).score_depends
    assert ways_to_score(recording).obstacles[0] is not None
    assert upstream_of(recording, SCORE)[0]


class Swap(torch.autograd.Function):
    """Views of both arguments; the gradient of the second output goes to the first argument."""

    @staticmethod
    def forward(ctx, soft, hard):
        ctx.mark_non_differentiable(one := soft.view_as(soft))
        return one, hard.view_as(hard)

    @staticmethod
    def backward(ctx, _, gradient):
        return gradient, None


NOTED = {
    "broadcast": (lambda x, y: torch.broadcast_tensors(x[:, :1], y), True),
    "meshgrid": (lambda x, y: torch.meshgrid(x[0], y[0], indexing="xy"), True),
    "at least 3 dimensions": (torch.atleast_3d, True),
    "split where values say": (lambda x, y: torch.tensor_split(x, torch.tensor([1, 2]), 1), True),
    "one input": (lambda x, y: x.chunk(2), False),
    "new memory": (lambda x, y: torch.aminmax(x + y), False),
    "one output": (lambda x, y: x.expand_as(y), False),
    "written": (lambda x, y: torch._foreach_add_([x, y], [y, x]), False),
}


@pytest.mark.parametrize(("function", "is_noted"), NOTED.values(), ids=NOTED)
def test_an_operation_that_hands_on_what_it_read_is_noted(function, is_noted):
    recorder = Recorder(SiteTable())
    with recorder:
        function(torch.randn(2, 3), torch.randn(2, 3))
    assert recorder.failed is None
    assert bool(recorder.results.view_operations) == is_noted


class Pair(nn.Module):
    """Two layers whose results are brought to one shape; ``use`` makes the score of them."""

    def __init__(self, use):
        super().__init__()
        self.mean = nn.Linear(3, 2)
        self.spread = nn.Linear(3, 2)
        self.use = use

    def forward(self, x):
        return self.use(*torch.broadcast_tensors(self.mean(x), self.spread(x).exp()))


def test_a_constant_beside_a_learned_value_cuts_nothing():
    report = gradflow.check(
        Pair(lambda mean, _: torch.mul(*torch.broadcast_tensors(mean, torch.tensor(2.0))).sum()),
        inputs=torch.randn(4, 3),
        layer="mean",
    )
    assert report.verdict == "connected"
    assert not report.flow.cuts


def test_what_only_the_other_output_is_made_of_is_unused():
    report = gradflow.check(Pair(lambda mean, _: mean), inputs=torch.randn(4, 3), layer="spread")
    assert report.verdict == "unused"
    assert not report.flow.path()


def test_what_the_score_is_made_of_is_connected():
    report = gradflow.check(Pair(lambda mean, spread: mean * spread), inputs=torch.randn(4, 3), layer="spread")
    assert report.verdict == "connected"
    assert "broadcast_tensors" in [node.name for node in report.flow.path()]


@pytest.mark.parametrize("chosen", [lambda h: h.max(-1), lambda h: h.sort(-1)], ids=["max", "sort"])
def test_positions_beside_values_cut_nothing_where_nobody_reads_them(chosen):
    report = gradflow.check(Pair(lambda mean, _: chosen(mean)[0]), inputs=torch.randn(4, 3), layer="mean")
    assert report.verdict == "connected"
    assert not report.flow.cuts


def test_positions_that_are_read_are_a_cut():
    report = gradflow.check(
        Pair(lambda mean, spread: spread.gather(-1, mean.max(-1, keepdim=True)[1])),
        inputs=torch.randn(4, 3),
        layer="mean",
    )
    assert report.verdict == "broken"
    assert [cut.cause for cut in report.flow.cuts] == ["nondiff-op"]


def test_a_cut_before_is_still_found():
    report = gradflow.check(
        Pair(lambda mean, spread: torch.mul(*torch.broadcast_tensors(mean.detach(), spread)).sum()),
        inputs=torch.randn(4, 3),
        layer="mean",
    )
    assert (report.verdict, [one.code for one in report.diagnostics]) == ("broken", ["GF101"])


class Straight(nn.Module):
    """A straight-through estimator whose function gives back views of both of its arguments."""

    def __init__(self):
        super().__init__()
        self.soft = nn.Linear(3, 2)

    def forward(self, x):
        soft = self.soft(x)
        return Swap.apply(soft, soft.detach().round())[1].sum()


def test_a_function_says_itself_where_its_gradients_go():
    assert gradflow.check(Straight(), inputs=torch.randn(4, 3), layer="soft").verdict == "connected"
