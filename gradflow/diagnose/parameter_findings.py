"""Findings about a model's parameters that no single gradient shows: frozen, not registered, uneven, inactive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic, Help, Severity
from gradflow.diagnose.parameter_group import common_module
from gradflow.graph.ways_to_score import WaysToScore
from gradflow.location import SourceSpan
from gradflow.probe.along_depth.evidence import EXPLODING, VANISHING, AlongDepth, is_unusual
from gradflow.probe.audit_evidence import UnitCount
from gradflow.recording import Recording
from gradflow.recording.holders import Holder
from gradflow.spelled import Spelled

__all__ = [
    "depth_finding",
    "frozen_parameters",
    "inactive_units",
    "unknown_leaves",
    "unregistered_parameters",
]

INACTIVE = 0.95
"""Share of an activation's units beyond which it is worth a warning."""

FEWEST_UNITS = 32
"""Activations with fewer units are not judged: with one sample, half of the units of a healthy one are zero."""


_AGAINST_VANISHING = (
    "use an initialisation that fits the activation: `nn.init.kaiming_normal_` for ReLU, `xavier_normal_` for tanh",
    "or put normalisation or skip connections between the layers, or take ReLU or GELU instead of sigmoid and tanh",
)
_AGAINST_EXPLODING = (
    "use a smaller initialisation, or put normalisation between the layers",
    "`torch.nn.utils.clip_grad_norm_` keeps single steps in bounds",
)


def frozen_parameters(names: Sequence[str], frozen_at: Mapping[str, SourceSpan], total: int) -> tuple[Diagnostic, ...]:
    """One finding for each line that freezes parameters, and one for those frozen where gradflow did not see it.

    A warning where they are all: then nothing is left that a loss could teach.
    """
    by_line: dict[SourceSpan | None, list[str]] = {}
    for name in names:
        by_line.setdefault(frozen_at.get(name), []).append(name)
    severity: Severity = "warning" if len(names) == total else "info"
    return tuple(_frozen(members, span, total, severity) for span, members in by_line.items())


def _frozen(members: Sequence[str], span: SourceSpan | None, total: int, severity: Severity) -> Diagnostic:
    are = "is" if len(members) == 1 else "are"
    return Diagnostic(
        code=code_of("not-trainable"),
        name="not-trainable",
        severity=severity,
        message=f"{len(members)} of {total} parameters {are} frozen: `requires_grad` is `False`",
        location=span,
        label="frozen here" if span is not None else "",
        module=common_module(members),
        notes=() if span is not None else ("where is not determined, because gradflow did not see it happen",),
        helps=(
            Help(text="let what is to learn require grad: `requires_grad_(True)`, after everything that freezes it"),
        )
        if severity == "warning"
        else (),
        hides=tuple(members),
    )


def unregistered_parameters(
    holder: Holder, reached: Sequence[str], copied: Sequence[tuple[str, str]] = ()
) -> Diagnostic:
    """Trainable tensors take part in the loss, but ``model.parameters()`` does not have them.

    ``reached`` are those of the holder's tensors that a gradient reaches; ``copied`` are pairs of a registered
    parameter that nothing reads and the tensor that holds its values.
    """
    originals = [name for name, _ in copied]
    written = f"self.{holder.attribute}"
    kind = {"list": "list", "tuple": "tuple", "dict": "dictionary", "set": "set"}.get(holder.container, "")
    inside = f"a plain {kind} " if kind else ""
    whose = f"`{holder.owner}`" if holder.owner else f"the model (`{holder.owner_type}`)"
    count, are, them = (f"{len(reached)} parameters", "are", "them")
    if len(reached) == 1:
        count, are, them = "1 parameter", "is", "it"
    return Diagnostic(
        code=code_of("unregistered-params"),
        name="unregistered-params",
        severity="error",
        message=f"{count} in {inside}`{written}` {are} not registered{_and_what_was_copied(len(copied))}: no optimizer "
        f"that is given `model.parameters()` trains {them}",
        location=holder.span,
        label=_what_hides(holder, kind),
        module=holder.owner,
        notes=(
            f"a gradient does reach {them}, so the loss depends on what {whose} keeps here",
            "what is not registered is not trained, not moved by `.to(device)` and not saved in `state_dict()` either",
            *_what_was_copied(copied),
        ),
        helps=(
            Help(text=_remedy(holder)),
            *(Help(text=text) for text in _or_make_anew(written, copied)),
        ),
        hides=(*reached, *originals),
    )


def _and_what_was_copied(count: int) -> str:
    if not count:
        return ""
    return (
        f", and the {count} registered ones whose copies they are get no gradient"
        if count > 1
        else (", and the registered one whose copy is among them gets no gradient")
    )


def _what_was_copied(copied: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    if not copied:
        return ()
    original, copy = copied[0]
    more = f", and so of {len(copied) - 1} more" if len(copied) > 1 else ""
    held = f"`{copy}` holds the values of `{original}` in other memory{more}"
    return (f"{held}: a copy was made before the run, and no operation reads what was copied",)


def _or_make_anew(written: str, copied: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    made = f"or make `{written}` in `forward` from the registered parameters, by operations such as `torch.stack`"
    return (f"{made}: the gradient then reaches those",) if copied else ()


def unknown_leaves(recording: Recording, ways: WaysToScore) -> tuple[Diagnostic, ...]:
    """Tensors that get a gradient, although neither the model nor any of its attributes has them, by line."""
    found: dict[tuple[SourceSpan | None, bool], list[int]] = {}
    for value, producer in enumerate(recording.values.producer):
        if not recording.values.requires_grad[value] or ways.obstacles[value] != ():
            continue
        if producer < 0:
            if value not in recording.leaf_names and ways.first_read[value] >= 0:
                found.setdefault((recording.span_of(ways.first_read[value]), False), []).append(value)
        elif recording.name_of(producer) == "Parameter" and not any(
            recording.values.requires_grad[read] for read in recording.inputs_of(producer)
        ):
            found.setdefault((recording.span_of(producer), True), []).append(value)
    return tuple(_unknown(recording, span, is_new, values) for (span, is_new), values in found.items())


def _unknown(recording: Recording, span: SourceSpan | None, is_new: bool, values: Sequence[int]) -> Diagnostic:
    count, them = len(values), "them" if len(values) > 1 else "it"
    shapes = ", ".join(str(list(recording.values.shape[value])) for value in values[:4])
    if is_new:
        message = f"{count} parameters are made" if count > 1 else "a parameter is made"
        message += f" in the forward: no optimizer that is made before it runs trains {them}"
        label = "made here, while the model runs"
        advice = "make the layer in `__init__`, and keep it in an attribute of the model"
    else:
        message = f"{count} tensors outside the model take" if count > 1 else "a tensor outside the model takes"
        message += f" part and would learn: no optimizer that is given `model.parameters()` trains {them}"
        label = "reads what the model does not know of"
        advice = "register it: keep the layer, or an `nn.Parameter`, in an attribute of the model itself"
    return Diagnostic(
        code=code_of("unregistered-params"),
        name="unregistered-params",
        severity="warning",
        message=message,
        location=span,
        label=label,
        notes=(f"shapes: {shapes}{', ...' if count > 4 else ''}; requires grad, and a gradient reaches {them}",),
        helps=(Help(text=advice), Help(text=f"if not meant to learn, say so: call `requires_grad_(False)` on {them}")),
    )


def _what_hides(holder: Holder, kind: str) -> str:
    if holder.span is None:
        return ""
    if kind:
        return f"`nn.Module` does not look into a plain {kind}"
    return "a plain tensor: only an `nn.Parameter` is registered" if not holder.is_layers else "not registered"


def _remedy(holder: Holder) -> str:
    written = f"self.{holder.attribute}"
    if not holder.container:
        return (
            f"make it a parameter: `{written} = nn.Parameter(...)`"
            if not holder.is_layers
            else (f"keep the module itself in an attribute of the model, not inside another object (`{written}`)")
        )
    of_dictionary = bool(holder.key)
    if not holder.is_flat or (not of_dictionary and holder.container not in ("list", "tuple", "set")):
        return (
            f"keep what is trained in `{written}` in `nn.ModuleList`, `nn.ModuleDict`, `nn.ParameterList` or "
            "`nn.ParameterDict`, inner containers too: `nn.Module` looks into those only"
        )
    kind = f"nn.{'Module' if holder.is_layers else 'Parameter'}{'Dict' if of_dictionary else 'List'}"
    if holder.key in ("", "key"):
        return f"`{written} = {kind}(...)`"
    return (
        f"`{written} = {kind}({{{holder.key}: value for key, value in {written}.items()}})`, and read it with those "
        f"keys: a `{kind}` takes texts that are no attributes of it, without dots"
    )


def depth_finding(found: AlongDepth | None) -> tuple[Diagnostic, ...]:
    """Gradients that shrink or grow too much on their way back through the layers."""
    if found is None or not found.is_judged or not is_unusual(found.ratio):
        return ()
    is_small = found.ratio < 1
    name = "vanishing-gradient" if is_small else "exploding-gradient"
    limit = f"{1 / VANISHING:,.0f} times smaller" if is_small else f"{EXPLODING:,.0f} times larger"
    return (
        Diagnostic(
            code=code_of(name),
            name=name,
            severity="warning",
            message=f"the gradients of the first layers are {_times(found.ratio)} than those of the last",
            notes=(
                *_how_measured(found),
                f"gradflow warns from {limit} on",
            ),
            helps=tuple(Help(text=text) for text in (_AGAINST_VANISHING if is_small else _AGAINST_EXPLODING)),
        ),
    )


def _how_measured(found: AlongDepth) -> tuple[str, ...]:
    weights = (
        f"measured: the typical entry in the gradients of {found.weight_count} weights, `{found.first_name}` to "
        f"`{found.last_name}`, at {found.depth_count} depths; the median of the first quarter and of the last, and of "
        "weights at the same depth the largest"
    )
    if found.arriving is None:
        return (weights,)
    return weights, f"what arrives at the outputs of the first layers is {_times(found.arriving)}, too"


def _times(ratio: float) -> str:
    if ratio > 1:
        return f"{ratio:.2g} times larger"
    return f"{1 / ratio:.2g} times smaller" if ratio else "far smaller"


def inactive_units(recording: Recording, counts: Sequence[UnitCount]) -> tuple[Diagnostic, ...]:
    """Activations of which nearly all units give zero, whatever comes in."""
    found = [one for one in counts if one.unit_count >= FEWEST_UNITS and one.dead_count > INACTIVE * one.unit_count]
    by_line: dict[SourceSpan | None, list[UnitCount]] = {}
    for one in found:
        by_line.setdefault(recording.span_of(one.operation), []).append(one)
    return tuple(_inactive(recording, span, members) for span, members in by_line.items())


def _inactive(recording: Recording, span: SourceSpan | None, members: Sequence[UnitCount]) -> Diagnostic:
    dead, units = sum(one.dead_count for one in members), sum(one.unit_count for one in members)
    first = members[0]
    modules = list(dict.fromkeys(recording.module_of(one.operation) for one in members))
    of = f"`{modules[0]}`" if modules[0] else f"`{recording.name_of(first.operation)}`"
    more = f" and {len(modules) - 1} more" if len(modules) > 1 else ""
    share = "all" if dead == units else f"{100 * dead / units:.0f}% of the"
    places = f"at each of {first.place_count:,} samples and positions" if first.place_count > 1 else "for this sample"
    return Diagnostic(
        code=code_of("saturation"),
        name="saturation",
        severity="warning",
        message=f"{share} {units:,} units of {of}{more} give zero",
        location=span,
        label=f"`{recording.name_of(first.operation)}` gives zero {places}",
        module=modules[0],
        notes=(
            "a unit that is zero everywhere passes no gradient on, so what feeds it does not learn from this batch",
        ),
        helps=(
            Help(text="look at what goes in: a large negative bias, too large a learning rate, inputs out of range"),
            Help(
                text=Spelled(
                    "audit with a batch of real inputs (`--input`) before you draw conclusions",
                    in_python="audit with a batch of real inputs (`inputs`) before you draw conclusions",
                )
            ),
        ),
    )
