"""Warnings of torch during a check name the line of the model, as when the model runs by itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import gradflow

pytest_plugins = ["pytester"]

MODEL = """\
import warnings
import torch
from torch import nn

def by_stacklevel(x):
    warnings.warn("two up", stacklevel=2)
    return x

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.scale = torch.tensor(torch.ones(4))

    def forward(self, x):
        x = self.layer(x) * torch.tensor(self.scale)
        x = by_stacklevel(x)
        return nn.functional.softmax(x)

def build():
    return Net()
"""
FORWARD = [("To copy", 16), ("two up", 17), ("Implicit dimension", 18)]


@pytest.fixture
def model_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "warning_net.py"
    path.write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    return path


def quietly(build: type[torch.nn.Module]) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build()


def warned(path: Path, action: Callable[[], object]) -> list[tuple[str, int]]:
    """The warnings of one action and their lines, each once; all are in the model's file."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        action()
    assert {one.filename for one in found} == {str(path)}
    return list(dict.fromkeys((" ".join(str(one.message).split()[:2]), one.lineno) for one in found))


@pytest.mark.parametrize("how", ["by itself", "check", "verify", "automatic layer", "audit", "assertion"])
def test_they_name_the_models_line(how: str, model_file: Path) -> None:
    from warning_net import Net

    from gradflow.testing import assert_connected

    model, inputs = quietly(Net), torch.rand(2, 4)
    actions: dict[str, Callable[[], object]] = {
        "by itself": lambda: model(inputs),
        "check": lambda: gradflow.check(model, "layer", inputs=inputs),
        "verify": lambda: gradflow.check(model, "layer", inputs=inputs, verify=True),
        "automatic layer": lambda: gradflow.check(model, inputs=inputs),
        "audit": lambda: gradflow.audit(model, inputs=inputs),
        "assertion": lambda: assert_connected(model, "layer", inputs=inputs),
    }
    assert warned(model_file, actions[how]) == FORWARD


def test_also_while_the_model_is_built(model_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gradflow.cli.program import main

    argv = ["check", f"{model_file}:build", "--layer", "layer", "--input-shape", "2,4"]
    assert warned(model_file, lambda: main(argv)) == [("To copy", 13), *FORWARD]
    capsys.readouterr()


def test_a_filter_for_the_models_module_holds(model_file: Path) -> None:
    from warning_net import Net

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module="warning_net")
        gradflow.check(quietly(Net), "layer", inputs=torch.rand(2, 4))
    assert [one for one in found if one.filename != str(model_file)] == []
    assert found == []


def test_warnings_are_as_before_afterwards(model_file: Path) -> None:
    from warning_net import Net

    before = warnings.warn, warnings._showwarnmsg  # type: ignore[attr-defined]
    warned(model_file, lambda: gradflow.check(quietly(Net), "layer", inputs=torch.rand(2, 4)))
    assert (warnings.warn, warnings._showwarnmsg) == before  # type: ignore[attr-defined]


def test_pytest_lists_them_at_the_models_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(warning_net_of_tests=MODEL)
    pytester.makepyfile(
        """
        import torch
        from warning_net_of_tests import Net

        def test_net(gradflow):
            gradflow.assert_connected(Net(), "layer", inputs=torch.rand(2, 4))
        """
    )
    text = pytester.runpytest_subprocess("-p", "no:cacheprovider").stdout.str()
    for line in (13, 16, 17, 18):
        assert f"warning_net_of_tests.py:{line}: UserWarning" in text
    assert "recorder.py" not in text
