"""A forward hook may be a part of the model; one that only looks shows that by what it does, whatever it is called."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[[str], Report]

PROGRAM = """
    net, kept = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), []
    def {name}(module, inputs, output):
        {body}
    net[0].register_forward_hook({name})
    net(torch.randn(2, 3)).sum().backward()
"""
NAMES = ("monitor", "normalise", "f")


def severities(report: Report) -> list[str]:
    return [one.severity for one in report.diagnostics]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body",
    [
        "size = output.norm(dim=-1, keepdim=True); kept.append(size); return output / size",
        "print(output.max().item()); return output.clamp(max=1.0)",
        "return output / output.abs().max()",
        "return output * 2",
        "return output.detach()",
    ],
)
def test_a_hook_that_is_a_part_of_the_model_is_at_most_remarked_on(explain: Explain, name: str, body: str) -> None:
    report = explain(PROGRAM.format(name=name, body=body))
    assert report.verdict == "connected"
    assert set(severities(report)) <= {"info"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body",
    [
        "shown = output / output.norm(dim=-1, keepdim=True); print(shown.mean().item()); return shown",
        "shown = output / output.max(); kept.append(shown); return shown",
    ],
)
def test_a_hook_that_shows_or_keeps_what_it_returns_probably_only_looks(explain: Explain, name: str, body: str) -> None:
    report = explain(PROGRAM.format(name=name, body=body))
    assert (report.verdict, severities(report)) == ("wrong", ["warning"])
    assert report.diagnostics[0].name == "hook-replaces-output"


def test_a_detached_copy_that_is_kept_and_returned_cuts_the_model(explain: Explain) -> None:
    report = explain(PROGRAM.format(name="f", body="shown = output.detach(); kept.append(shown); return shown"))
    assert report.verdict == "broken"
    assert ("hook-detach", "error") in [(one.name, one.severity) for one in report.diagnostics]


PATCHED = """
    net, cache = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), {}
    handle = net[0].register_forward_hook(lambda module, inputs, output: cache.update(clean=output.detach()))
    net(torch.ones(1, 3))
    handle.remove()
    net[0].register_forward_hook(lambda module, inputs, output: cache["clean"])
    for _ in range(3):
        net(torch.randn(1, 3)).sum().item()
"""


def test_one_activation_put_in_place_for_several_inputs_is_patching(explain: Explain) -> None:
    report = explain(PATCHED)
    assert (report.verdict, severities(report)) == ("connected", [])


def test_a_hook_that_goes_on_returning_its_first_output_is_told(explain: Explain) -> None:
    report = explain("""
        net, cache = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), {}
        net[0].register_forward_hook(lambda module, inputs, output: cache.setdefault("first", output))
        for _ in range(2):
            net(torch.randn(1, 3)).sum().item()
    """)
    assert [(one.name, one.severity) for one in report.diagnostics] == [("hook-replaces-output", "error")]
