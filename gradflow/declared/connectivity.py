"""Which gradients of a declared model arrive, in few enough words to be committed and read in a diff."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gradflow.audit_report import AuditReport, ParameterGradient
from gradflow.auditing import audit_workload
from gradflow.checking import check_workload
from gradflow.declared.loading import loaded
from gradflow.declared.lock_file import LOCK_NAME, Sections, differences, read_lock
from gradflow.declared.model import DeclaredModel
from gradflow.graph.elements import Branch
from gradflow.graph.flow_graph import FlowGraph
from gradflow.load.workload import Workload
from gradflow.printable import printable
from gradflow.render.words import plural
from gradflow.testing.asserting import assertion
from gradflow.testing.failure import GradientAssertionError
from gradflow.testing.skips import first_layer

__all__ = ["connectivity_of", "verify_lock"]

_WORDS = {
    "gradient": "learns",
    "none": "no gradient",
    "zero": "zero gradient",
    "not finite": "not finite",
    "frozen": "frozen",
}
_CHANGES_SHOWN = 40


@assertion
def verify_lock(model: DeclaredModel) -> AuditReport:
    """Compare a model's connectivity with that in the lock beside its ``pyproject.toml``.

    Raises
    ------
    GradientAssertionError
        When they differ; says in what.
    GradflowError
        When there is no lock, or the model cannot be checked.
    """
    locked = read_lock(model.folder / LOCK_NAME)
    found, report = connectivity_of(model)
    changes = differences(locked.get(model.name, {}), found)
    if changes:
        shown = [printable(f"  {change}") for change in changes[:_CHANGES_SHOWN]]
        if len(changes) > _CHANGES_SHOWN:
            shown.append(f"  ... and {len(changes) - _CHANGES_SHOWN} more")
        raise GradientAssertionError(
            f"`{model.name}` differs from {LOCK_NAME} in {plural(len(changes), 'place')}: {changes[0]}",
            report,
            detail="\n".join(
                (f"since {LOCK_NAME} was written:", *shown, "help: if this is meant, `pytest --gradflow-update`")
            ),
        )
    return report


def connectivity_of(model: DeclaredModel) -> tuple[Sections, AuditReport]:
    """The sections ``parameters``, ``layers`` and ``branches`` of a model, and the audit behind the first."""
    with loaded(model, with_loss=True) as workload:
        report = audit_workload(workload)
    with loaded(model) as workload:
        layers = _layers(workload, (*model.layers, *model.disconnected))
        branches = _branches(workload)
    sections = {"parameters": _parameters(report.parameters), "layers": layers, "branches": branches}
    # a name may hold what no text of TOML can
    return {name: {printable(key): state for key, state in found.items()} for name, found in sections.items()}, report


def _parameters(parameters: Iterable[ParameterGradient]) -> dict[str, str]:
    """One entry for each module whose own parameters all fare the same; else one for each of them."""
    modules: dict[str, list[ParameterGradient]] = {}
    for one in parameters:
        modules.setdefault(one.module, []).append(one)
    found = {}
    for module, members in modules.items():
        if module and len({one.state for one in members}) == 1:
            found[module] = _WORDS[members[0].state]
        else:
            found.update((one.name, _WORDS[one.state]) for one in members)
    return found


def _layers(workload: Workload, names: tuple[str, ...]) -> dict[str, str]:
    if not names:
        return {}
    return {one.target.name: one.verdict for one in check_workload(workload, names).reports}


def _branches(workload: Workload) -> dict[str, str]:
    layer = first_layer(workload)
    if layer is None:
        return {}
    flow = check_workload(workload, [layer]).flow
    count: Counter[str] = Counter()
    found = {}
    for branch in flow.branches:
        name = f"{_module(flow, branch)}, {branch.kind}"
        count[name] += 1
        ways = len(branch.paths)
        carrying = sum(path.carries_gradient for path in branch.paths)
        key = name if count[name] == 1 else f"{name} {count[name]}"
        found[key] = f"{carrying} of {ways} ways carry gradient"
    return found


def _module(flow: FlowGraph, branch: Branch) -> str:
    return branch.module or flow[branch.join].module or "the model"
