"""GF203, GF206, GF113, GF301: a hook never ran, or what it returned took the place of the output."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from gradflow.location import SourceSpan
from gradflow.probe.class_source import parse_file, span_of_node
from gradflow.trace.data import Trace
from gradflow.trace.operation_kinds import EXITS
from gradflow.watch.definitions import definition_of, receiver_at
from gradflow.watch.events import Hook, HookRun, Observation, WatchedModule
from gradflow.watch.finding import Finding, finding

__all__ = ["hook_never_ran", "hook_replaces_output"]


def hook_never_ran(observation: Observation) -> tuple[Finding, ...]:
    """A hook was registered, a model ran, and the hook was not called."""
    found = []
    for hook in observation.hooks:
        if hook.runs:
            continue
        end = hook.removed_at_call if hook.removed_at_call >= 0 else len(observation.trace.calls)
        calls = range(hook.first_call, end)
        if not calls:
            continue
        module = observation.modules[hook.module]
        ran = any(observation.call_modules[call] == hook.module for call in calls)
        if ran:
            continue
        if module.is_compiled:
            found.append(_compiled(observation, hook, module))
        elif not module.is_reachable:
            found.append(_other_instance(observation, hook, module, calls))
        elif module.root >= 0 and any(observation.call_modules[call] == module.root for call in calls):
            found.append(_not_called(observation, hook, module))
    return tuple(found)


def _compiled(observation: Observation, hook: Hook, module: WatchedModule) -> Finding:
    return finding(
        "compiled-hooks",
        "unused",
        f"the hook on `{module.name or module.type_name}` never ran: the model is compiled",
        observation.trace.site_span(hook.site),
        label="registered on a layer whose calls are compiled away",
        notes=(
            "a compiled model runs a captured program; hooks that were not there at its capture are not part of it",
        ),
        helps=(
            "register the hook before the first call of the compiled model",
            "or use the uncompiled model for this: `model._orig_mod`",
        ),
        target=module.name or module.type_name,
        rank=2,
        operation=hook.operation,
    )


def _other_instance(observation: Observation, hook: Hook, module: WatchedModule, calls: range) -> Finding:
    trace = observation.trace
    at = trace.site_span(hook.site)
    taken = definition_of(at, receiver_at(at)) if at is not None else None
    replaced = next((r for r in observation.replacements if r.module == hook.module), None)
    twin = next(
        (m for m in observation.modules.values() if m.root >= 0 and m.type_name == module.type_name and m.is_reachable),
        None,
    )
    notes = ["the hook sits on a module object that is not part of the model that runs"]
    if twin is not None and replaced is None:
        notes.append(
            f"the model that runs has a module of the same kind, `{twin.name or twin.type_name}`: a copy of it"
        )
    return finding(
        "wrong-module-instance",
        "unused",
        f"the hook never ran: its `{module.type_name}` is not in the model that was called",
        taken or at,
        label="this object is taken for the layer" if taken is not None else "the hook sits on another object",
        annotations=(
            (at, "the hook is registered here"),
            (trace.site_span(replaced.site) if replaced is not None else None, "replaced by another module here"),
            (trace.site_span(trace.calls[calls[0]].site), "the model that runs is called here"),
        ),
        notes=tuple(notes),
        helps=("take the layer from the very model that is called, after everything that copies or rebuilds it",),
        target=module.name or module.type_name,
        rank=2,
        operation=hook.operation,
    )


def _not_called(observation: Observation, hook: Hook, module: WatchedModule) -> Finding:
    trace = observation.trace
    bypass = next(
        (
            operation
            for operation in range(hook.operation, len(trace))
            if set(module.parameters) & set(trace.inputs_of(operation)) and trace.name_of(operation) != "autograd.grad"
        ),
        -1,
    )
    if module.parameters and bypass >= 0:
        return finding(
            "functional-bypass",
            "unused",
            f"the hook on `{module.name}` never ran: its weights are used without calling it",
            trace.span_of(bypass),
            label="uses the layer's weights directly",
            annotations=((trace.site_span(hook.site), "the hook is registered here"),),
            notes=("hooks run when a module is called, `layer(x)`; a function or `layer.forward(x)` goes past them",),
            helps=(f"call `{module.name}(x)` itself",),
            target=module.name,
            rank=2,
            operation=hook.operation,
        )
    return finding(
        "layer-not-called",
        "unused",
        f"the hook on `{module.name}` never ran, because the layer is never called",
        trace.site_span(module.made_at) or trace.site_span(hook.site),
        label="made here, never called",
        annotations=((trace.site_span(hook.site), "the hook is registered here"),),
        notes=("the model ran without it, with this input and in this mode",),
        helps=("hook a layer that the forward calls",),
        target=module.name,
        rank=2,
        operation=hook.operation,
    )


def hook_replaces_output(observation: Observation) -> tuple[Finding, ...]:
    """A forward hook returned something, which then took the place of the layer's output."""
    found = []
    for hook in observation.hooks:
        if hook.kind != "forward":
            continue
        for run in hook.runs:
            why = _unintended(observation, hook, run) if run.replaced else ""
            if why:
                found.append(_replaces(observation, hook, run, why))
                break
    return tuple(found)


def _unintended(observation: Observation, hook: Hook, run: HookRun) -> str:
    """Why the replacement can hardly be meant; empty where it may well be."""
    trace = observation.trace
    if not run.returned:
        return f"it returns a `{run.returned_type}`, not a tensor" if run.outputs else ""
    inside = range(run.first_operation, run.end_operation)
    made = {value for operation in inside for value in trace.outputs_of(operation)}
    if not made & set(run.returned) and not set(run.returned) & set(run.outputs):
        return "what it returns was not made from this output: it is an older tensor"
    leaving = [
        operation
        for operation in inside
        if trace.name_of(operation) in EXITS
        and _comes_from(trace, trace.inputs_of(operation), {*run.returned, *run.outputs})
    ]
    if leaving:
        return "the hook reads numbers out of the tensor, as one that only looks does, and returns it all the same"
    return ""


def _comes_from(trace: Trace, values: Sequence[int], sources: set[int]) -> bool:
    waiting, steps = list(values), 0
    while waiting and steps < 64:
        value = waiting.pop()
        steps += 1
        if value in sources:
            return True
        producer = trace.values.producer[value]
        if producer >= 0:
            waiting.extend(trace.inputs_of(producer))
    return False


def _replaces(observation: Observation, hook: Hook, run: HookRun, why: str) -> Finding:
    module = observation.modules[hook.module]
    return finding(
        "hook-replaces-output",
        "wrong",
        f"the hook on `{module.name or module.type_name}` returns a value, which takes the place of the layer's output",
        _return_of(hook) or observation.trace.site_span(hook.site),
        label="returned to the model as the new output",
        annotations=((observation.trace.site_span(hook.site), "the hook is registered here"),),
        notes=(
            "what a forward hook returns, unless it is `None`, replaces the output: the model computes something else",
            why,
        ),
        helps=("return nothing from a hook that only looks", "in a `lambda`, end with `... and None`"),
        target=module.name or module.type_name,
        operation=run.first_operation,
    )


def _return_of(hook: Hook) -> SourceSpan | None:
    """The hook's return statement with a value, the last one."""
    if hook.defined is None or hook.is_lambda:
        return None
    tree = parse_file(hook.defined.path)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and hook.defined.line in (
            node.lineno,
            *(decorator.lineno for decorator in node.decorator_list),
        ):
            returns = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None]
            return span_of_node(hook.defined.path, returns[-1], hook.defined.function) if returns else None
    return None
