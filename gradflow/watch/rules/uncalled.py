"""GF301, GF208: a layer that the program asks about never ran, or its weights were used without calling it."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.location import SourceSpan
from gradflow.watch.facts.kept_out import call_that_failed, has_returned, told_failure
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["ENDED_HERE", "layer_never_ran", "used_without_calling"]

ENDED_HERE = "this call did not come to its end"
_RAN = "the model ran without it, with this input and in this mode"


def used_without_calling(observation: Observation, key: int, parameters: Sequence[int], start: int = 0) -> int:
    """The first operation that reads parameters of the module ``key`` outside of all modules that hold them; or -1.

    The modules inside it do not count: where they are called and it is not, its ``forward`` was called directly.
    ``start`` is the operation from which on the module was to run.
    """
    recording, wanted = observation.recording, set(parameters)
    owners = {
        module.key: set(module.parameters)
        for module in observation.program.modules.values()
        if wanted & set(module.parameters) and module.key != key
    }
    inside = {module for hook in observation.program.hooks if hook.module == key for module in hook.inside}
    for operation in range(start, len(recording)):
        read = wanted & set(recording.inputs_of(operation))
        call = recording.operations.call[operation]
        if not read or call < 0 or not recording.outputs_of(operation):
            continue
        caller = observation.program.call_modules[call]
        if caller in inside or not read & owners.get(caller, set()):
            return operation
    return -1


def layer_never_ran(
    observation: Observation,
    key: int,
    asked: SourceSpan | None,
    *,
    because: str,
    bypass: int = -1,
    rank: int = 1,
    operation: int = 0,
) -> Finding:
    """Why the module ``key`` never ran.

    Parameters
    ----------
    asked
        Where the program asks for it: the hook's registration, a read of ``.grad``.
    because
        How the message begins: what the program misses.
    bypass
        The operation that used its parameters all the same; -1 for none.
    """
    recording, module = observation.recording, observation.program.modules[key]
    name = module.name or module.type_name
    if bypass >= 0:
        return finding(
            "functional-bypass",
            "unused",
            f"{because}: the weights of `{name}` are used without calling it",
            recording.span_of(bypass),
            label="uses the layer's weights directly",
            annotations=((asked, "asked for here"),),
            notes=("hooks run when a module is called, `layer(x)`; a function or `layer.forward(x)` goes past them",),
            helps=(f"call `{name}(x)` itself",),
            target=name,
            rank=rank,
            operation=operation,
        )
    made = recording.site_span(module.made_at)
    failed = call_that_failed(observation, key)
    if failed is not None:
        told = told_failure(observation, failed)
        return finding(
            "layer-not-called",
            "unused",
            f"{because}: `{name}` is never called",
            recording.site_span(failed.site) or made or asked,
            label=ENDED_HERE,
            annotations=((asked, "asked for here"), (made, "made here")),
            notes=(f"{told} before `{name}` was called, so whether it would have been is not known",),
            helps=("let this call go on to its end, or ask for a layer that is called before it ends",),
            target=name,
            rank=rank,
            operation=operation,
        )
    why = observation.not_called.get(key)
    return finding(
        why.kind if why is not None else "layer-not-called",
        "unused",
        f"{because}: `{name}` is never called",
        (why.location if why is not None else None) or made or asked,
        label=why.label if why is not None and why.location is not None else "made here, never called",
        annotations=((asked, "asked for here"), (made, "made here")),
        notes=tuple(filter(None, (_RAN if has_returned(observation, module.root) else "", why.note if why else ""))),
        helps=(why.help if why is not None and why.help else "ask for a layer that the forward calls",),
        target=name,
        rank=rank,
        operation=operation,
    )
