"""What is said of all steps of an optimizer holds of all of them, and of its parameters each is counted once."""

from __future__ import annotations

import pytest

JOINS = """
a, b = nn.Linear(2, 1), nn.Linear(2, 1)
optimizer = torch.optim.SGD([*a.parameters(), *b.parameters()], 1e-3)
for turn in range({turns}):
    optimizer.zero_grad()
    loss = a(torch.ones(1, 2)).sum() ** 2
    if turn >= {joins}:
        loss = loss + b(torch.ones(1, 2)).sum() ** 2
    loss.backward()
    optimizer.step()
"""


def test_a_part_that_joins_late_got_a_gradient(explain):
    report = explain(JOINS.format(turns=30, joins=25))
    assert report.diagnostics == ()
    assert report.seen == ("all 4 parameters in `SGD` got a gradient, together in 5 of 30 steps",)


def test_a_part_that_never_joins_is_told_with_the_number_of_all_steps(explain):
    (found,) = explain(JOINS.format(turns=30, joins=99)).diagnostics
    assert (found.name, found.severity) == ("no-gradient-at-step", "warning")
    assert found.message == "`SGD` holds a parameter and 1 more, without a gradient at any of 30 steps"
    assert found.label == "is given parameters that never get a gradient"


@pytest.mark.parametrize("fault", [3, 1_005])
def test_a_gradient_that_is_not_cleared_any_more_is_found_early_or_late(explain, fault):
    report = explain(f"""
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], 1e-3)
    for turn in range({fault + 4}):
        if turn < {fault}:
            optimizer.zero_grad()
        (weight ** 2).sum().backward()
        optimizer.step()
    """)
    (found,) = report.diagnostics
    assert (found.name, report.verdict) == ("grad-accumulated", "wrong")


def test_after_stepping_aside_nothing_is_said_of_all_steps(explain):
    report = explain(JOINS.format(turns=10, joins=5), steps=3)
    (found,) = report.diagnostics
    assert (found.name, found.severity) == ("no-gradient-at-step", "info")
    assert found.message.endswith("without a gradient at any of the first 3 steps")
    assert found.label == "is given parameters that have no gradient when it steps"
    assert found.notes == (
        "an optimizer passes over a parameter without a gradient; the steps that followed were not watched",
    )


def test_a_parameter_that_is_written_to_between_two_steps_is_one(explain):
    report = explain(
        """
        image = torch.rand(2, 2).requires_grad_()
        optimizer = torch.optim.LBFGS([image], max_iter=4)
        def closure():
            optimizer.zero_grad()
            loss = (image - 1).pow(4).mean()
            loss.backward()
            return loss
        for _ in range(3):
            optimizer.step(closure)
        """
    )
    assert report.seen == ("the parameter in `LBFGS` got a gradient in 3 of 3 steps",)


def test_two_parameters_in_one_memory_are_two(explain):
    report = explain(
        """
        flat = torch.ones(4)
        a, b = nn.Parameter(flat[:2]), nn.Parameter(flat[2:])
        optimizer = torch.optim.SGD([a, b], 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            (a * b).sum().backward()
            optimizer.step()
        """
    )
    assert report.seen == ("both parameters in `SGD` got a gradient in 2 of 2 steps",)


def test_what_joins_the_optimizer_later_was_not_there_before(explain):
    source = """
    body, head = nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(head.parameters(), 0.1)
    for turn in range(4):
        if turn == {joins}:
            body.requires_grad_(True)
            optimizer.add_param_group({{"params": list(body.parameters())}})
        optimizer.zero_grad()
        head(body(torch.ones(1, 2))).sum().backward()
        optimizer.step()
    """
    assert explain(source.format(joins=2)).seen == (
        "all 4 parameters in `SGD` got a gradient, together in 2 of 4 steps",
    )
    assert explain(source.format(joins=0)).seen == ("all 4 parameters in `SGD` got a gradient in 4 of 4 steps",)


@pytest.mark.parametrize("cut", [True, False])
def test_an_optimizer_made_before_the_block_takes_the_first_pass_into_account(cut):
    torch = pytest.importorskip("torch")
    import gradflow

    body, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], 0.1)
    with gradflow.explain(quiet=True) as explanation:
        hidden = body(torch.ones(2, 3))
        hidden = hidden.detach() if cut else hidden
        optimizer.zero_grad()
        head(hidden).sum().backward()
        optimizer.step()
    names = [one.name for one in explanation.report.diagnostics]
    assert names == (["detach"] if cut else [])


def test_only_the_first_steps_are_said_to_have_been_along_zeros(explain):
    source = """
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], 0.1)
    for turn in range(20):
        optimizer.zero_grad()
        (weight * float(turn >= {wakes})).sum().backward()
        optimizer.step()
    """
    assert explain(source.format(wakes=18)).seen == ("all gradients in `SGD` were zero in 3 of the first 3 steps",)
    assert explain(source.format(wakes=0)).seen == ("the parameter in `SGD` got a gradient in 20 of 20 steps",)
