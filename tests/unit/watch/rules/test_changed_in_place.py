"""Of several writes in place, the one that lost what backward needs: the first after it was saved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.report import Report  # noqa: E402

Explain = Callable[[str], Report]

HEAD_LINES = 2
"""What the fixture puts before each program."""


X = "x = torch.randn(4, requires_grad=True)"


@pytest.mark.parametrize(
    ("source", "culprit", "saver"),
    [
        ("y = x.sigmoid()|y[0] = 0|y *= 2|y.sum().backward()", 3, 2),
        ("y = x.tanh()|y.clamp_(min=0)|y.add_(1)|y.sum().backward()", 3, 2),
        # the first write comes before anything is saved
        ("y = x * 2|y += 1|z = y.pow(2)|y *= 3|(y.sum() + z.sum()).backward()", 5, 4),
        # through a view, and of the same shape as another one that is innocent
        ("y, z = x.exp(), x + 1|y[1:].mul_(2)|z.mul_(2)|(y + z).sum().backward()", 3, 2),
        # what is written after backward has raised is not asked
        ("y = x.exp()|y += 1|try:|    y.sum().backward()|finally:|    y *= 2", 3, 2),
    ],
)
def test_the_first_write_after_it_was_saved_is_the_place(
    explain: Explain, source: str, culprit: int, saver: int
) -> None:
    lines = [X, *source.split("|")]
    # torch itself says which: a copy before that line mends the program, one behind it does not
    _run([*lines[: culprit - 1], "y = y.clone()", *lines[culprit - 1 :]])
    with pytest.raises(RuntimeError, match=r"in-?place"):
        _run([*lines[:culprit], "y = y.clone()", *lines[culprit:]])
    found = explain("\n".join(lines) + "\n").diagnostics[0]
    assert found.name == "inplace-modification"
    assert found.location is not None
    assert found.location.line == HEAD_LINES + culprit
    assert [(one.span.line, one.label) for one in found.annotations] == [
        (HEAD_LINES + saver, "needed with the numbers that it had here")
    ]


def _run(lines: list[str]) -> None:
    exec("\n".join(lines), {"torch": torch})


def test_a_step_into_the_weights_is_no_write_of_the_same_shape(explain: Explain) -> None:
    found = explain(
        """
        net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        y = net(torch.rand(4, 4))
        y.mean().backward(retain_graph=True)
        optimizer.step()
        y.square().mean().backward()
        """
    ).diagnostics[0]
    assert found.name == "inplace-modification"
    assert found.location is not None
    assert found.location.line == HEAD_LINES + 6
