"""``gradflow.explain()`` leaves torch and the program as they were, and passes exceptions through."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import gradflow  # noqa: E402


def settings() -> tuple[object, ...]:
    from torch.nn.modules import module

    return (
        torch._C._len_torch_function_stack(),
        torch.autograd.grad,
        torch.autograd.backward,
        torch.nn.Module.__setattr__,
        torch.nn.Module.__init__,
        torch.nn.Module.register_forward_hook,
        torch.optim.Optimizer.__init__,
        torch.compile,
        dict(module._global_forward_hooks),
        dict(module._global_forward_pre_hooks),
    )


def test_torch_is_as_it_was_also_after_an_exception() -> None:
    before = settings()
    explanation = gradflow.explain(quiet=True)
    layer = torch.nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="does not require grad"), explanation:
        layer(torch.ones(1, 2)).detach().sum().backward()
    assert settings() == before
    assert explanation.report is not None
    assert [d.name for d in explanation.report.diagnostics] == ["detach"]


def test_the_gradient_is_the_same() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    layer(x).pow(2).sum().backward()
    alone = layer.weight.grad.clone()
    layer.zero_grad()
    with gradflow.explain(quiet=True) as explanation:
        layer(x).pow(2).sum().backward()
    assert torch.equal(layer.weight.grad, alone)
    assert explanation.report.verdict == "connected"


def test_a_hook_that_stays_after_the_block_still_runs() -> None:
    seen = []
    layer = torch.nn.Linear(2, 2)
    with gradflow.explain(quiet=True):
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    layer(torch.ones(1, 2))
    assert seen == [(1, 2)]


def test_no_tensor_is_kept_alive() -> None:
    import gc
    import weakref

    with gradflow.explain(quiet=True) as explanation:
        layer = torch.nn.Linear(2, 2)
        output = layer(torch.ones(1, 2))
        reference = weakref.ref(output)
        output.sum().backward()
        del output
        gc.collect()
        assert reference() is None
    assert explanation.report is not None


def test_it_decorates(capsys: pytest.CaptureFixture[str]) -> None:
    layer = torch.nn.Linear(2, 2)

    @gradflow.explain()
    def step(x: object) -> str:
        layer(x).sum().backward()
        return "done"

    assert step(torch.ones(1, 2)) == "done"
    assert "no fault found" in capsys.readouterr().err


def test_the_exception_that_is_handled_is_explained_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    loss = torch.ones(1, requires_grad=True).detach()
    try:
        loss.backward()
    except RuntimeError:
        report = gradflow.explain_last_error()
    assert [(one.name, one.severity) for one in report.diagnostics] == [("detach", "error")]
    assert report.diagnostics[0].location is not None
    assert report.diagnostics[0].location.path == __file__
    assert "error[GF101] detach: `loss` has no history" in capsys.readouterr().err


def test_of_another_exception_it_says_that_it_knows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report = gradflow.explain_last_error(ValueError("boom"))
    assert (report.verdict, report.diagnostics) == ("error", ())
    assert capsys.readouterr().err == "gradflow: `ValueError: boom` is no exception of autograd that gradflow knows\n"


def test_without_an_error_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delattr(sys, "last_value", raising=False)
    monkeypatch.delattr(sys, "last_exc", raising=False)
    with pytest.raises(gradflow.GradflowError, match="no exception to explain"):
        gradflow.explain_last_error()
