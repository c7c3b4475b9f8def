"""What was held, frozen and hooked counts as it was then, not as it is at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")

from gradflow.report import Report

Explain = Callable[[str], Report]


@pytest.mark.parametrize(
    ("added", "steps"), [(0, "8 steps"), (5, "the 3 steps since it was added"), (7, "one step since it was added")]
)
def test_what_joins_late_is_counted_from_then_on(explain: Explain, added: int, steps: str) -> None:
    report = explain(f"""
    a, b = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(a.parameters(), 0.1)
    for turn in range(8):
        if turn == {added}:
            optimizer.add_param_group({{"params": list(b.parameters())}})
        optimizer.zero_grad()
        a(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    """)
    (found,) = report.diagnostics
    assert found.name == "no-gradient-at-step"
    assert found.message.startswith("`SGD` holds a parameter and 1 more, without a gradient at ")
    assert found.message.endswith(steps)


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("place", ["hidden", "weight"])
def test_a_hook_that_is_removed_before_the_backward_is_told(explain: Explain, place: str, is_early: bool) -> None:
    early, late = ("handle.remove()", "pass") if is_early else ("pass", "handle.remove()")
    report = explain(f"""
    layer, got = nn.Linear(2, 2), []
    hidden, weight = layer(torch.ones(1, 2)), layer.weight
    handle = {place}.register_hook(lambda gradient: got.append(1))
    out = hidden.sum()
    {early}
    out.backward()
    {late}
    assert bool(got) is not {is_early}
    """)
    told = [text for text in report.seen if "was removed at" in text]
    assert len(told) == is_early
    assert report.diagnostics == ()


def test_a_hook_on_what_the_backward_does_not_reach_is_not_told(explain: Explain) -> None:
    report = explain("""
    layer, beside = nn.Linear(2, 2), nn.Linear(2, 2)
    handle = beside(torch.ones(1, 2)).register_hook(lambda gradient: None)
    handle.remove()
    layer(torch.ones(1, 2)).sum().backward()
    """)
    assert not [text for text in report.seen if "was removed at" in text]


@pytest.mark.parametrize("thawed", ["before", "after"])
@pytest.mark.parametrize("frozen", ["layer", "layer.weight"])
def test_a_leaf_frozen_for_one_pass_and_thawed_afterwards(explain: Explain, frozen: str, thawed: str) -> None:
    first, second = (f"{frozen}.requires_grad_(True)", "pass")[:: 1 if thawed == "before" else -1]
    report = explain(f"""
    layer, head = nn.Linear(2, 2), nn.Linear(2, 1)
    {frozen}.requires_grad_(False)
    target = layer(torch.zeros(1, 2))
    {first}
    out = head(layer(torch.ones(1, 2)))
    {second}
    (out - target.sum()).sum().backward()
    print(layer.weight.grad)
    """)
    names = [one.name for one in report.diagnostics]
    assert names == (["requires-grad-too-late"] if thawed == "after" else [])


@pytest.mark.parametrize("is_late", [False, True])
def test_a_wrong_copy_is_told_where_it_was_given(explain: Explain, is_late: bool) -> None:
    held = "[*model['head'].parameters()]" if is_late else "[*model['head'].parameters(), *other['stem'].parameters()]"
    report = explain(f"""
    import copy
    model = nn.ModuleDict(dict(stem=nn.Linear(2, 2), head=nn.Linear(2, 1)))
    other = copy.deepcopy(model)
    optimizer = torch.optim.SGD({held}, 0.1)
    for turn in range(4):
        if {is_late} and turn == 1:
            optimizer.add_param_group(dict(params=[*other['stem'].parameters()]))
        optimizer.zero_grad()
        model['head'](model['stem'](torch.ones(1, 2))).sum().backward()
        optimizer.step()
    """)
    (found,) = [one for one in report.diagnostics if one.code == "GF305"]
    assert found.location is not None
    assert found.location.line == (10 if is_late else 7)
