"""GF407: a loss that is NaN while the gradients are zero, beside passes whose zeros are as they should be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[[str], Report]


LOOP = """
net = nn.Linear(3, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for turn in range(4):
    error = net(torch.ones(4, 3)) - 5
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("loss", "line"),
    [
        ("error[torch.full((4,), turn != 2)].square().mean()", 8),
        ("torch.masked_select(error, torch.tensor(turn != 2)).mean()", 8),
        ("error[: 4 * (turn != 2)].abs().mean()", 8),
    ],
)
def test_the_mean_of_nothing(explain: Explain, loss: str, line: int) -> None:
    (found,) = explain(LOOP.format(loss=loss)).diagnostics
    assert (found.name, found.severity) == ("nan-singularity", "warning")
    assert found.location is not None
    assert found.location.line == line
    assert "in backward pass 3" in found.message


@pytest.mark.parametrize(
    "loss",
    [
        "error[torch.full((4,), turn != 2)].square().sum()",  # of nothing the sum is zero
        "error.square().mean() * (turn != 2)",
        "torch.cat([error, error[:0]]).square().mean()",
        "error.clamp(min=0).mean() if turn == 2 else error.square().mean()",
    ],
)
def test_zeros_of_a_finite_loss(explain: Explain, loss: str) -> None:
    assert not explain(LOOP.format(loss=loss)).diagnostics


@pytest.mark.parametrize(("reduction", "is_reason"), [("sum", False), ("mean", True)])
def test_the_sum_of_nothing_is_zero_and_no_reason(explain: Explain, reduction: str, is_reason: bool) -> None:
    """What is NaN beside it came with the data; a mean of nothing is NaN by itself."""
    report = explain(f"""
    net = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        chosen = net(torch.ones(4, 3))[torch.zeros(4, dtype=torch.bool)]
        loss = chosen.{reduction}() + torch.tensor({"0.0" if is_reason else "float('nan')"})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    """)
    (told,) = [one for one in report.diagnostics if one.name == "nan-singularity"]
    assert ("is given a tensor without entries" in told.message) == is_reason


MASKED = """
net, other = nn.Linear(3, 3), nn.Linear(3, 3)
h = torch.relu(net(torch.ones(2, 3)) - 50)
u = h / h.norm(dim=1, keepdim=True)
loss = {loss}
loss.backward()
print(net.weight.grad)
"""


@pytest.mark.parametrize("loss", ["u.pow(2).sum()", "(u * u).sum()", "torch.relu(other(u)).mean()"])
def test_zeros_behind_a_nan_of_the_forward_are_told_as_that(explain: Explain, loss: str) -> None:
    """How a NaN moves tells nothing: no flat score, nothing that cancels, no slope of the line after it."""
    report = explain(MASKED.format(loss=loss))
    found = next(one for one in report.diagnostics if "`net.weight`" in one.message)
    assert (report.verdict, found.name) == ("nan", "nan-singularity")
    assert "`div` gives NaN or infinity in the forward" in found.message
    assert found.location is not None
    assert found.location.line == 6
    assert not {"constant-score", "saturation"} & {one.name for one in report.diagnostics}


def test_a_nan_of_another_part_of_the_loss_is_no_reason_for_zeros(explain: Explain) -> None:
    loss = "torch.relu(net(torch.ones(3)) - 50).sum() + (other.weight * 0 / 0).sum()"
    report = explain(MASKED.format(loss=loss))
    told = [one.name for one in report.diagnostics if "`net.weight`" in one.message]
    assert told
    assert "nan-singularity" not in told


@pytest.mark.parametrize("spoiled", ["x[0, 0] = torch.nan", "net.weight.data[0, 0] = torch.nan"])
def test_a_nan_that_was_there_before_is_given_to_the_first_that_reads_it(explain: Explain, spoiled: str) -> None:
    report = explain(f"""
    net, x = nn.Linear(3, 3), torch.ones(2, 3)
    {spoiled}
    loss = net(x).tanh().pow(2).sum()
    loss.backward()
    print(net.weight.grad)
    """)
    (found,) = report.diagnostics
    assert "`linear` is given NaN or infinity in the forward" in found.message


@pytest.mark.parametrize(
    ("loss", "name"), [("h.sqrt() * 2 - h.sqrt()", "nan-singularity"), ("h - h", "constant-score")]
)
def test_ways_cancel_where_they_are_numbers(explain: Explain, loss: str, name: str) -> None:
    report = explain(f"""
    net = nn.Linear(3, 3)
    h = torch.relu(net(torch.ones(2, 3)) - {50 if "sqrt" in loss else 0})
    loss = ({loss} + 0).sum()
    loss.backward()
    print(net.weight.grad)
    """)
    assert [one.name for one in report.diagnostics if one.severity == "error"] == [name]


NOTHING_SHOWS = """
net = nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for turn in range(3):
    loss = {loss}
    optimizer.zero_grad()
    {backward}
    optimizer.step()
"""
SUM = "net(torch.ones(2, 3)).sum()"


@pytest.mark.parametrize(
    "loss",
    [
        f"{SUM} + (torch.tensor(float('nan')) if turn == 1 else 0)",
        f"{SUM} + torch.log(torch.zeros(())) * (turn == 1)",
        f"torch.where(torch.tensor(turn == 1), {SUM} + torch.tensor([]).mean(), {SUM})",
    ],
)
def test_a_loss_that_is_no_number_while_its_gradients_are(explain: Explain, loss: str) -> None:
    report = explain(NOTHING_SHOWS.format(loss=loss, backward="loss.backward()"))
    (found,) = report.diagnostics
    assert (found.name, found.severity) == ("nan-singularity", "warning")
    assert "in backward pass" in found.message
    assert any("finite" in note for note in found.notes)


def test_it_is_told_of_a_gradient_that_is_asked_for(explain: Explain) -> None:
    report = explain(f"""
    net = nn.Linear(3, 1)
    loss = {SUM} + float("nan")
    print(torch.autograd.grad(loss, net.weight))
    """)
    assert [one.name for one in report.diagnostics] == ["nan-singularity"]
    report = explain(f"""
    net = nn.Linear(3, 1)
    loss = {SUM} + float("nan")
    loss.backward()
    print(net.weight.grad)
    """)
    assert [one.name for one in report.diagnostics] == ["nan-singularity"]


@pytest.mark.parametrize(
    ("loss", "backward"),
    [
        (SUM, "loss.backward()"),
        # what a mask keeps out of the pass is no part of the score
        (
            "net(torch.ones(2, 3)) + torch.tensor([[0.0], [float('-inf')]])",
            "loss.backward(torch.tensor([[1.0], [0.0]]))",
        ),
        (f"{SUM} * 1e8", "loss.backward()"),
        (SUM, "loss.backward(torch.tensor(2.0)); print(loss + float('nan'))"),
    ],
)
def test_a_loss_that_is_a_number_and_one_that_is_several(explain: Explain, loss: str, backward: str) -> None:
    report = explain(NOTHING_SHOWS.format(loss=loss, backward=backward))
    assert "nan-singularity" not in [one.name for one in report.diagnostics]
