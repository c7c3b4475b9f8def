"""GF206, GF208, GF113, GF301: a hook was registered, a model ran, and the hook was not called."""

from __future__ import annotations

from gradflow.recording.program.events import Hook, WatchedModule
from gradflow.source.definitions import definition_of, receiver_at
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.uncalled import layer_never_ran, used_without_calling

__all__ = ["hook_never_ran"]


def hook_never_ran(observation: Observation) -> tuple[Finding, ...]:
    """A hook was registered, a model ran, and the hook was not called."""
    found: list[Finding] = []
    have_run = {hook.site for hook in observation.program.hooks if _has_run(hook)}
    is_failed = any(failure.is_last for failure in observation.program.failures)
    for hook in observation.program.hooks:
        # one of many that a loop registers, on every layer of a kind, need not run
        is_of_many = hook.site in have_run and not is_failed
        one = None if _has_run(hook) or is_of_many else _why_never(observation, hook)
        if one is not None:
            found.append(one)
    return tuple(found)


def _has_run(hook: Hook) -> bool:
    return hook.ran_unseen or any(not run.is_capture for run in hook.runs)


def _why_never(observation: Observation, hook: Hook) -> Finding | None:
    """Why; nothing where what the hook sits on may simply not be of interest in this run."""
    end = hook.removed_at_call if hook.removed_at_call >= 0 else len(observation.recording.calls)
    left_out = observation.program.captured_calls | observation.program.failed_calls
    calls = [call for call in range(hook.first_call, end) if call not in left_out]
    called = {observation.program.call_modules[call] for call in calls}
    module = observation.program.modules[hook.module]
    if not calls or hook.module in called:
        return None
    if module.root not in called and _was_on_the_way(observation, module, range(hook.first_call, end)):
        return None
    if module.compiled_into in called:
        return None if _is_part_of_it(observation, hook, module) else _compiled(observation, hook, module)
    bypass = used_without_calling(observation, hook.module, hook.parameters, hook.operation)
    if bypass >= 0 and _within_graph(observation, bypass):
        return _compiled(observation, hook, module)
    if module.is_reachable and module.root not in called:
        # while the hook was there, something else ran: in `with GradCAM(one): other(x)` that is a mistake
        return _other_instance(observation, hook, module, calls) if hook.removed_at_call >= 0 else None
    if module.is_reachable or bypass >= 0:
        return layer_never_ran(
            observation,
            hook.module,
            observation.recording.site_span(hook.site),
            because="the hook never ran",
            bypass=bypass,
            rank=2,
            operation=hook.operation,
        )
    return _other_instance(observation, hook, module, calls)


def _was_on_the_way(observation: Observation, module: WatchedModule, calls: range) -> bool:
    """Whether a forward of the model raised before the hook's turn came: it need not have come at all."""
    failed = {observation.program.call_modules[call] for call in observation.program.failed_calls if call in calls}
    ended = any(failure.is_last for failure in observation.program.failures)
    return not ended and bool(failed & {module.key, module.root})


def _within_graph(observation: Observation, operation: int) -> bool:
    """Whether an operation ran in a graph that ``torch.fx`` or ``torch.export`` made."""
    outermost = observation.program.pass_of_call(observation.recording.operations.call[operation])
    return outermost >= 0 and observation.program.modules[observation.program.call_modules[outermost]].is_graph


def _is_part_of_it(observation: Observation, hook: Hook, module: WatchedModule) -> bool:
    """Whether a hook was there when the model was captured: it runs inside, where nothing is seen."""
    if module.compiled_into != module.root:
        # of a hook that TorchScript traced, what it returned is part of the program
        number = next(n for n, other in enumerate(observation.program.hooks) if other is hook)
        return number < module.hooks_compiled_until or any(run.replaced for run in hook.runs)
    first = next(n for n, key in enumerate(observation.program.call_modules) if key == module.compiled_into)
    return hook.first_call <= first


def _compiled(observation: Observation, hook: Hook, module: WatchedModule) -> Finding:
    name = module.name or module.type_name
    if module.compiled_into < 0:
        note = "a graph made by `torch.fx` calls the innermost layers one by one, and not the modules around them"
        advice = "use the model itself for this, or hook a layer that has no other layers inside"
    elif module.compiled_into != module.root:
        note = "TorchScript runs a program of its own; hooks of the model that it was made from are not part of it"
        advice = "use the model itself for this, not the one that `torch.jit` made of it"
    else:
        note = "a compiled model runs a captured program; hooks that were not there at its capture are not part of it"
        advice = "register the hook before the first call of the compiled model, or use `model._orig_mod`"
    return finding(
        "compiled-hooks",
        "unused",
        f"the hook on `{name}` never ran: a captured program runs in place of the model",
        observation.recording.site_span(hook.site),
        label="registered on a layer whose calls are compiled away",
        notes=(note, *(("the hook ran only while the model was captured",) if hook.runs else ())),
        helps=(advice,),
        target=name,
        rank=0 if hook.runs else 2,
        operation=hook.operation,
    )


def _other_instance(observation: Observation, hook: Hook, module: WatchedModule, calls: list[int]) -> Finding | None:
    """The hook sits on an object that does not run; told only where its place is taken by a copy or a successor."""
    recording = observation.recording
    at, *callers = tuple(recording.spans_from(hook.site, hook.operation)) or (None,)
    taken = definition_of(at, receiver_at(at), callers) if at is not None else None
    replaced = next((r for r in observation.program.replacements if r.module == hook.module), None)
    twin = _twin(observation, hook, module)
    if replaced is None and twin is None and not _is_copied(observation, hook):
        return None
    notes = ["the hook sits on a module object that is not part of the model that runs"]
    if twin is not None and replaced is None:
        notes.append(
            f"the model that runs has its own module of the same kind and size: `{twin.name or twin.type_name}`"
        )
    return finding(
        "wrong-module-instance",
        "unused",
        f"the hook never ran: its `{module.type_name}` is not in the model that was called",
        taken or at,
        label="this object is taken for the layer" if taken is not None else "the hook sits on another object",
        annotations=(
            (at, "the hook is registered here"),
            (recording.site_span(replaced.site) if replaced is not None else None, "replaced by another module here"),
            (recording.site_span(recording.calls[calls[0]].site), "the model that runs is called here"),
        ),
        notes=tuple(notes),
        helps=("take the layer from the very model that is called, after everything that copies or rebuilds it",),
        target=module.name or module.type_name,
        rank=2,
        operation=hook.operation,
    )


def _twin(observation: Observation, hook: Hook, module: WatchedModule) -> WatchedModule | None:
    """A module of the model that runs that has the hooked one's class and the shapes of its parameters."""
    shapes = observation.recording.values.shape
    own = [shapes[value] for value in hook.parameters]
    called = set(observation.program.call_modules)
    for other in observation.program.modules.values():
        if other.key not in called or not other.is_reachable or other.type_name != module.type_name:
            continue
        held = [
            value
            for key in (other.key, *_within(observation, other))
            for value in observation.program.modules[key].parameters
        ]
        if own and [shapes[value] for value in held] == own:
            return other
    return None


def _within(observation: Observation, module: WatchedModule) -> list[int]:
    """The modules inside another one, by their names, in the order in which they were named."""
    start = f"{module.name}." if module.name else ""
    return [
        other.key
        for other in observation.program.modules.values()
        if other.root == module.root and other.key != module.key and other.name.startswith(start)
    ]


def _is_copied(observation: Observation, hook: Hook) -> bool:
    """Whether the program has copied what the hook sits on: its parameters, or, if it has none, any module's."""
    copied = set(observation.program.copies.values())
    return bool(copied & set(hook.parameters)) or (not hook.parameters and bool(copied))
