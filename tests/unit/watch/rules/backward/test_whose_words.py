"""What an exception says counts where torch raised it, and where the record holds the fact that it speaks of."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


RAISING = """
def hook(gradient):
    raise {error}
w = torch.ones(3, requires_grad=True)
y = w * 2
y.register_hook(hook)
try:
    y.sum().backward()
except Exception:
    pass
"""


@pytest.mark.parametrize(
    "error",
    [
        "RuntimeError('this hook was called a second time')",
        "RuntimeError('the cache has already been freed')",
        "ValueError('modified by an inplace operation')",
        "OSError('cannot write checkpoint 7')",
        "ValueError('the model returned nan values')",
    ],
)
def test_what_a_hook_of_the_program_says_is_not_torchs(explain, said, error):
    report = explain(RAISING.format(error=error))
    assert said(report) == [("backward-raised", 5, "warning")]
    assert report.diagnostics[0].notes[0].startswith("the exception says: ")


def test_saved_tensors_that_are_gone_are_torchs_error_also_within_a_custom_backward(explain):
    report = explain(
        """
        class Square(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x
            @staticmethod
            def backward(ctx, gradient):
                (x,) = ctx.saved_tensors
                return 2 * x * gradient
        loss = Square.apply(torch.ones(3, requires_grad=True)).sum()
        loss.backward()
        loss.backward()
        """
    )
    assert [(one.name, one.severity) for one in report.diagnostics] == [("graph-freed", "error")]


CHECKPOINTED = """
from torch.utils.checkpoint import checkpoint
layer, x = nn.Linear(2, 2), torch.ones(1, 2, requires_grad=True)
loss = checkpoint({function}, x, use_reentrant={reentrant}).sum()
try:
    {ask}
except Exception:
    pass
"""


@pytest.mark.parametrize("ask", ["torch.autograd.grad(loss, x)", "loss.backward(inputs=[x])"])
def test_a_reentrant_checkpoint_is_told_where_gradients_are_asked_for_one_by_one(explain, said, ask):
    report = explain(CHECKPOINTED.format(function="layer", reentrant=True, ask=ask))
    assert said(report)[0] == ("reentrant-checkpoint", 6, "warning")
    assert ("autograd.grad" in report.diagnostics[0].message) == ("autograd.grad" in ask)


def test_a_reentrant_checkpoint_within_a_model_is_told(explain, said):
    function, ask = "nn.Sequential(nn.ReLU(), nn.Linear(2, 2))", "torch.autograd.grad(loss, x)"
    source = CHECKPOINTED.format(function=function, reentrant=True, ask=ask).replace(", x, use", ", layer(x), use")
    assert said(explain(source))[0] == ("reentrant-checkpoint", 6, "warning")


def test_an_error_of_a_checkpoint_that_is_not_reentrant_is_another(explain):
    function = "lambda v, n=[]: n.append(1) or (layer(v).exp() if len(n) == 1 else layer(v) * 2)"
    report = explain(CHECKPOINTED.format(function=function, reentrant=False, ask="loss.backward()"))
    assert [(one.name, one.severity) for one in report.diagnostics] == [("backward-raised", "warning")]


def test_a_graph_freed_before_the_block_is_what_torch_says():
    import gradflow

    loss = torch.ones(3, requires_grad=True).square().sum()
    loss.backward()
    with gradflow.explain(quiet=True) as explanation, pytest.raises(RuntimeError):
        loss.backward()
    (found,) = (one for one in explanation.report.diagnostics if one.name in ("graph-freed", "backward-raised"))
    assert found.severity == "info"  # it was wanted
    assert any(note.startswith("torch says: ") for note in found.notes)


CLOSURE = """
net, x = nn.Linear(3, 1), torch.ones(4, 3)
optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)
{loss}
def closure():
    optimizer.zero_grad()
    {inside}
    loss.backward()
    return loss
try:
    optimizer.step(closure)
    {after}
except RuntimeError:
    pass
"""
COMPUTED = "loss = net(x).square().sum()"


def test_two_passes_in_one_step_are_those_of_its_closure(explain):
    found = explain(CLOSURE.format(loss=COMPUTED, inside="global loss", after="pass")).diagnostics[0]
    assert found.name == "graph-freed"
    assert "closure" in found.helps[0].text


def test_two_passes_after_the_last_step_are_in_no_closure(explain):
    after = f"{COMPUTED}; loss.backward(); loss.backward()"
    found = explain(CLOSURE.format(loss="", inside=COMPUTED, after=after)).diagnostics[0]
    assert found.name == "graph-freed"
    assert "closure" not in f"{found.notes} {found.helps}"


def test_a_kernel_that_is_missing_is_told_in_torchs_words_alone(explain):
    found = explain(
        "z = torch.special.zeta(torch.rand(4, requires_grad=True) + 1.5, torch.tensor(2.0))\nz.exp().sum().backward()\n"
    ).diagnostics[0]
    assert (found.name, found.label) == ("backward-raised", "backward stopped at this operation")
    assert found.notes[0].startswith("torch says: NotImplementedError")
