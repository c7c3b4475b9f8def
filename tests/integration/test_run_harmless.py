"""Programs that ask unusual things of torch run under ``gradflow run`` as without it, and are not blamed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradflow.cli import main

PROGRAMS = {
    "an embedding with padding": """
        import torch
        table = torch.nn.Embedding(5, 2, padding_idx=0)
        table(torch.tensor([1, 2])).sum().backward()
        print(table.weight.grad.sum().item())
    """,
    "a view made under no_grad": """
        import torch
        weight = torch.nn.Parameter(torch.ones(3, 2))
        with torch.no_grad():
            row = weight[0]
            weight.fill_(2)
            row.add_(1)
        weight.sum().backward()
        print(weight.grad.sum().item())
    """,
    "gradients inside vmap": """
        import torch
        from torch.func import grad, vmap
        print(vmap(grad(lambda x: x ** 3))(torch.ones(2)).sum().item())
    """,
    "a Jacobian by vmap over autograd.grad": """
        import torch
        x = torch.ones(2, requires_grad=True)
        y = x * 3
        print(torch.vmap(lambda v: torch.autograd.grad(y, x, v)[0])(torch.eye(2)).sum().item())
    """,
    "gradcheck": """
        import torch
        x = torch.ones(2, dtype=torch.float64, requires_grad=True)
        print(torch.autograd.gradcheck(lambda t: t.pow(2), x))
    """,
    "two losses in one step": """
        import torch
        from torch import nn
        torch.manual_seed(0)
        body, one, two = nn.Linear(3, 3), nn.Linear(3, 1), nn.Linear(3, 1)
        optimizer = torch.optim.SGD([*body.parameters(), *one.parameters(), *two.parameters()], 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            hidden = body(torch.randn(2, 3))
            one(hidden).mean().backward(retain_graph=True)
            two(hidden).mean().backward()
            optimizer.step()
            print(body.weight.grad.norm().item() > 0)
    """,
    "an expected None": """
        import torch
        from torch import nn
        frozen, head = nn.Linear(2, 1).requires_grad_(False), nn.Linear(1, 1)
        head(frozen(torch.ones(1, 2))).sum().backward()
        assert frozen.weight.grad is None and head.weight.grad is not None
    """,
}


def explained(tmp_path: Path, source: str) -> dict[str, object]:
    program, report = tmp_path / "program.py", tmp_path / "report.json"
    lines = source.splitlines()
    program.write_text("\n".join(line.removeprefix("        ") for line in lines))
    assert main(["run", "--format", "json", "--output", str(report), str(program)]) == 0
    found: dict[str, object] = json.loads(report.read_text())
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_healthy(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = explained(tmp_path, PROGRAMS[name])
    assert report["diagnostics"] == []
    assert report["verdict"] == "connected"
    assert "Traceback" not in capsys.readouterr().err


def test_an_asserted_gradient_is_asked_for(tmp_path: Path) -> None:
    program, report = tmp_path / "program.py", tmp_path / "report.json"
    program.write_text(
        "import torch\n"
        "layer, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)\n"
        "hidden = layer(torch.ones(1, 2))\n"
        "head(hidden.detach()).sum().backward()\n"
        "assert layer.weight.grad is not None\n"
    )
    assert main(["run", "--format", "json", "--output", str(report), str(program)]) == 1
    first = json.loads(report.read_text())["diagnostics"][0]
    assert (first["name"], first["location"]["line"]) == ("detach", 4)


def test_a_freed_graph_is_blamed_on_the_backward_that_freed_it(tmp_path: Path) -> None:
    program, report = tmp_path / "program.py", tmp_path / "report.json"
    program.write_text(
        "import torch\n"
        "maker, judge = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)\n"
        "fake = maker(torch.ones(4, 2)).tanh()\n"
        "judge(fake).exp().mean().backward()\n"
        "(-judge(fake).mean()).backward()\n"
    )
    assert main(["run", "--format", "json", "--output", str(report), str(program)]) == 1
    first = json.loads(report.read_text())["diagnostics"][0]
    assert (first["name"], first["location"]["line"]) == ("graph-freed", 4)
