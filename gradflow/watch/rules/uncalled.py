"""GF301, GF208: a layer that the program asks about never ran, or its weights were used without calling it."""

from __future__ import annotations

from gradflow.location import SourceSpan
from gradflow.watch.events import Observation
from gradflow.watch.finding import Finding, finding

__all__ = ["layer_never_ran"]


def layer_never_ran(
    observation: Observation, key: int, asked: SourceSpan | None, *, because: str, start: int = 0, rank: int = 1
) -> Finding:
    """Why the module ``key`` never ran.

    Parameters
    ----------
    asked
        Where the program asks for it: the hook's registration, a read of ``.grad``.
    because
        How the message begins: what the program misses.
    start
        The operation from which on the layer was to run.
    """
    trace, module = observation.trace, observation.modules[key]
    name = module.name or module.type_name
    parameters = set(module.parameters)
    bypass = next(
        (
            operation
            for operation in range(start, len(trace))
            if parameters & set(trace.inputs_of(operation))
            and trace.outputs_of(operation)
            and trace.operations.call[operation] >= 0
        ),
        -1,
    )
    if bypass >= 0:
        return finding(
            "functional-bypass",
            "unused",
            f"{because}: the weights of `{name}` are used without calling it",
            trace.span_of(bypass),
            label="uses the layer's weights directly",
            annotations=((asked, "asked for here"),),
            notes=("hooks run when a module is called, `layer(x)`; a function or `layer.forward(x)` goes past them",),
            helps=(f"call `{name}(x)` itself",),
            target=name,
            rank=rank,
            operation=start,
        )
    why = observation.not_called.get(key)
    made = trace.site_span(module.made_at)
    return finding(
        why.kind if why is not None else "layer-not-called",
        "unused",
        f"{because}: `{name}` is never called",
        (why.location if why is not None else None) or made or asked,
        label=why.label if why is not None and why.location is not None else "made here, never called",
        annotations=((asked, "asked for here"), (made, "made here")),
        notes=tuple(
            filter(
                None,
                ("the model ran without it, with this input and in this mode", why.note if why is not None else ""),
            )
        ),
        helps=(why.help if why is not None and why.help else "ask for a layer that the forward calls",),
        target=name,
        rank=rank,
        operation=start,
    )
