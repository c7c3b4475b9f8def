"""GF206, GF208, GF113, GF301: a hook was registered, a model ran, and the hook was not called."""

from __future__ import annotations

from gradflow.watch.definitions import definition_of, receiver_at
from gradflow.watch.events import Hook, Observation, WatchedModule
from gradflow.watch.finding import Finding, finding
from gradflow.watch.rules.uncalled import layer_never_ran

__all__ = ["hook_never_ran"]


def hook_never_ran(observation: Observation) -> tuple[Finding, ...]:
    """A hook was registered, a model ran, and the hook was not called."""
    found = []
    for hook in observation.hooks:
        if hook.ran_unseen or any(not run.is_capture for run in hook.runs):
            continue
        end = hook.removed_at_call if hook.removed_at_call >= 0 else len(observation.trace.calls)
        calls = [call for call in range(hook.first_call, end) if call not in observation.captured_calls]
        called = {observation.call_modules[call] for call in calls}
        module = observation.modules[hook.module]
        if not calls or hook.module in called:
            continue
        if module.compiled_into in called:
            if not _is_part_of_it(observation, hook, module):
                found.append(_compiled(observation, hook, module))
        elif not module.is_reachable:
            found.append(_other_instance(observation, hook, module, calls))
        elif module.root >= 0 and module.root in called:
            found.append(
                layer_never_ran(
                    observation,
                    hook.module,
                    observation.trace.site_span(hook.site),
                    because="the hook never ran",
                    start=hook.operation,
                    rank=2,
                )
            )
    return tuple(found)


def _is_part_of_it(observation: Observation, hook: Hook, module: WatchedModule) -> bool:
    """Whether a hook was there when the model was captured: it runs inside, where nothing is seen."""
    if module.compiled_into != module.root:
        # of a hook that TorchScript traced, what it returned is part of the program
        return hook.first_call <= module.hooks_compiled_until or any(run.replaced for run in hook.runs)
    first = next(n for n, key in enumerate(observation.call_modules) if key == module.compiled_into)
    return hook.first_call <= first


def _compiled(observation: Observation, hook: Hook, module: WatchedModule) -> Finding:
    is_script = module.compiled_into != module.root
    return finding(
        "compiled-hooks",
        "unused",
        f"the hook on `{module.name or module.type_name}` never ran: the model is compiled",
        observation.trace.site_span(hook.site),
        label="registered on a layer whose calls are compiled away",
        notes=(
            "a compiled model runs a captured program; hooks that were not there at its capture are not part of it",
            *(("the hook ran once, while TorchScript recorded the model, and not again",) if hook.runs else ()),
        ),
        helps=(
            "use the model itself for this, not the one that `torch.jit` made of it"
            if is_script
            else "register the hook before the first call of the compiled model, or use `model._orig_mod`",
        ),
        target=module.name or module.type_name,
        rank=0 if hook.runs else 2,
        operation=hook.operation,
    )


def _other_instance(observation: Observation, hook: Hook, module: WatchedModule, calls: list[int]) -> Finding:
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
