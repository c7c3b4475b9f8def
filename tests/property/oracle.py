"""What plain autograd says about a network, and what gradflow says about it."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import torch

import gradflow
from tests.property.networks import Network
from tests.property.plants import Case

__all__ = ["Finding", "judge"]

SEED = 7
LARGE_ENOUGH = 1e-4
"""The largest entry of a gradient must be at least so large for a network to count."""

Outcome = Literal["right", "verdict", "place", "cause", "repair", "alarm", "crash", "unfit"]
"""Right, or what is not: the verdict, the line, the cause.

``repair``: all is named, but the repair that was tried did not bring the gradient back; ``alarm``: silence was right.
``unfit``: this random network does not show what was planted (its gradient is zero without the cut, or the score does
not depend on what lies behind it), so nothing can be asked of gradflow.
"""

_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one network; ``said`` is gradflow's answer in words."""

    outcome: Outcome
    said: str = ""


@contextlib.contextmanager
def imported(source: str) -> Iterator[ModuleType]:
    """The source as a module with a file of its own."""
    name = f"planted_network_{next(_numbers)}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
            yield module
        finally:
            del sys.modules[name]


def judge(case: Case) -> Finding:
    """Compare gradflow's answer about a case with what was planted, where autograd confirms what was planted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the networks themselves are warned of is theirs
        if not _shows_what_was_planted(case):
            return Finding(outcome="unfit")
        with imported(case.network.broken) as module:
            model, example = module.build(), module.example_input()
            torch.manual_seed(SEED)
            report = gradflow.check(model, case.network.target, inputs=example, target=1)
            return _compare(case, report)


def judge_healthy(case: Case) -> Finding:
    """The same network without the cut: nothing may be said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradient = _gradient(case.network.healthy, case.network.target)
        if gradient is None or not _is_clear(gradient):
            return Finding(outcome="unfit")
        with imported(case.network.healthy) as module:
            model, example = module.build(), module.example_input()
            torch.manual_seed(SEED)
            return _silence(gradflow.check(model, case.network.target, inputs=example, target=1))


# gradflow's side


def _compare(case: Case, report: gradflow.Report) -> Finding:
    if case.verdict == "connected":
        return _silence(report)
    said = _in_words(report)
    if report.verdict != case.verdict:
        return Finding(outcome="verdict", said=said)
    errors = [diagnostic for diagnostic in report.diagnostics if diagnostic.severity == "error"]
    lines = case.network.blamed_lines
    there = [error for error in errors if error.location is not None and error.location.line in lines]
    # a value that is zero makes the gradient end at further products behind it: these may be named besides
    if not there or (len(there) < len(errors) and case.verdict != "zero"):
        return Finding(outcome="place", said=said)
    if there[0].name not in case.causes:
        return Finding(outcome="cause", said=said)
    tried = [help_.repair.verified for error in errors for help_ in error.helps if help_.repair is not None]
    return Finding(outcome="right" if False not in tried else "repair", said=said)


def _silence(report: gradflow.Report) -> Finding:
    quiet = report.connected and all(diagnostic.severity != "error" for diagnostic in report.diagnostics)
    return Finding(outcome="right" if quiet else "alarm", said=_in_words(report))


def _in_words(report: gradflow.Report) -> str:
    found = [f"{d.severity} {d.name} at line {d.location.line if d.location else '?'}" for d in report.diagnostics]
    return "; ".join([report.verdict, *found, *(f"not determined: {text}" for text in report.undetermined)])


# autograd's side


def _shows_what_was_planted(case: Case) -> bool:
    network = case.network
    given = _gradient(network.broken, network.target)
    if case.verdict == "connected":
        return given is not None and _is_clear(given)
    whole = _gradient(network.healthy, network.target)
    if whole is None or not _is_clear(whole):
        return False
    if case.verdict == "wrong":
        if given is None or not _is_clear(given):
            return False
        return float((whole - given).norm() / whole.norm()) > case.smallest_loss
    if case.verdict == "zero":
        return given is not None and not given.any()
    return given is None and _matters(network)


def _is_clear(gradient: torch.Tensor) -> bool:
    return bool(gradient.isfinite().all()) and float(gradient.abs().max()) > LARGE_ENOUGH


def _gradient(source: str, target: str) -> torch.Tensor | None:
    """The gradient of the score at the target's output by autograd alone; ``None`` where there is no path."""
    arrived: list[torch.Tensor] = []

    def take(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        if output.requires_grad:
            # a tensor's own hook speaks of the values that it had when the hook was registered
            # a Function of the network may have returned nothing
            output.register_hook(lambda gradient: None if gradient is None else arrived.append(gradient.clone()))

    score = _score(source, target, take)
    if score.requires_grad:
        score.backward()
    return arrived[0] if arrived else None


def _matters(network: Network) -> bool:
    """Whether the score moves when the target's output is moved."""
    noise = torch.Generator().manual_seed(SEED)

    def move(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        output.data.add_(output.detach().std() * 4 * torch.randn(output.shape, generator=noise))

    first = _score(network.broken, network.target, None)
    return abs(float(first.detach() - _score(network.broken, network.target, move).detach())) > LARGE_ENOUGH


def _score(source: str, target: str, hook: object) -> torch.Tensor:
    with imported(source) as module:
        model, example = module.build(), module.example_input()
        if hook is not None:
            model.get_submodule(target).register_forward_hook(hook)
        torch.manual_seed(SEED)
        return model(example)[0, 1]
