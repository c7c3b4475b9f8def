"""GF411: the gradient is zero because a hook of the program makes it so."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.verdict import verdict_of
from gradflow.probe.evidence import Evidence, TakingHook

__all__ = ["gradient_is_taken_by_hook"]


def gradient_is_taken_by_hook(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """Without the hook a gradient arrives that is more than zero; each hook of which that is so."""
    if verdict_of(evidence) != "zero":
        return ()
    return tuple(_taken(evidence, hook) for hook in evidence.taking_hooks)


def _taken(evidence: Evidence, hook: TakingHook) -> Diagnostic:
    place = hook.registered or hook.defined
    annotations: tuple[Annotation, ...] = ()
    if hook.registered is not None and hook.defined is not None and not _is_same_line(hook):
        annotations = (Annotation(span=hook.defined, label="the hook begins here"),)
    tried = (
        "tried: without this hook a gradient arrives that is not zero"
        if hook.is_alone
        else "tried: without all hooks together a gradient arrives that is not zero; which of them is not determined"
    )
    return Diagnostic(
        code=code_of("masked-gradient"),
        name="masked-gradient",
        severity="error" if hook.is_alone else "warning",
        message=f"the gradient at `{evidence.target}` is zero: {hook.shown} makes it so",
        location=place,
        label="" if place is None else "registered here" if hook.registered is not None else "the hook begins here",
        annotations=annotations,
        module=hook.owner if hook.kind == "module" else hook.owner.rpartition(".")[0],
        path=score_path(evidence),
        notes=(tried,),
        helps=(Help(text="remove the hook, or let it return a gradient that is not zero where you need one"),),
        hides=(evidence.target,),
    )


def _is_same_line(hook: TakingHook) -> bool:
    one, other = hook.registered, hook.defined
    return one is not None and other is not None and (one.path, one.line) == (other.path, other.line)
