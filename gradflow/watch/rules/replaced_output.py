"""GF203, GF202: a forward hook that only looks returned something, which then took the place of the output.

Steering, ablation, patching, noise, clipping and quantisation replace an output deliberately: a hook may be a part of
the model. A hook that only looks gives itself away by what it does: it reads numbers out of the very value that it
returns, or keeps that value besides, and it made it of nothing but the output. That is likely, and not proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradflow.recording import Recording
from gradflow.recording.program.events import Hook, HookRun
from gradflow.source.hooks import place_of_return
from gradflow.torch_facts.operations.queries import has, is_reflected
from gradflow.watch.finding import Finding, as_remark, finding
from gradflow.watch.observation import Observation

__all__ = ["hook_replaces_output"]

_SOON = 4
"""Operations within which the next layer stumbles over what it cannot take."""


def hook_replaces_output(observation: Observation) -> tuple[Finding, ...]:
    """A forward hook returned something that can hardly be meant as the layer's new output."""
    found = []
    for hook in observation.program.hooks:
        if hook.kind != "forward":
            continue
        for run in hook.runs:
            one = _unintended(observation, hook, run) if run.replaced else None
            if one is not None:
                found.append(one)
                break
    return tuple(found)


def _unintended(observation: Observation, hook: Hook, run: HookRun) -> Finding | None:
    """What is wrong with the replacement; nothing where it may well be meant."""
    recording = observation.recording
    if not run.returned:
        return (
            _replaces(observation, hook, run, f"it returns a `{run.returned_type}`, not a tensor")
            if run.outputs
            else None
        )
    made = _made_of(recording, run)
    if made.is_older:
        if _kept_by_itself(observation, hook, run):
            return _replaces(
                observation, hook, run, "what it returns was not made from this output: it is an older tensor"
            )
        return None
    if (
        run.output_type == "Tensor"
        and run.returned_type in ("list", "dict", "tuple")
        and _ends_program(observation, run)
    ):
        why = f"it returns a `{run.returned_type}` in place of a tensor, and the next layer cannot take that"
        return _replaces(observation, hook, run, why)
    if made.is_from_elsewhere or not made.names or not all(map(_only_shows, made.names)):
        return None
    return _only_looks(observation, hook, run, made)


def _only_looks(observation: Observation, hook: Hook, run: HookRun, made: _Making) -> Finding | None:
    """What it returns is made of nothing but the output, by what one does to look at a tensor."""
    is_detached = any(has(name, "detaches") for name in made.names)
    is_copy = all(_copies(name) for name in made.names)
    if is_copy and not is_detached:
        return None  # the same numbers with their history, as against in-place operations
    if run.is_kept and is_copy:
        return _returns_copy(observation, hook, run)
    is_display = not all(map(_is_affine, made.names))
    if is_display and _reads_numbers(observation.recording, run):
        why = "the hook reads numbers out of what it returns, as one that only looks does"
        return _likely(_replaces(observation, hook, run, why))
    if run.is_kept and (made.divides or is_detached or "normalize" in made.names):
        why = "the hook keeps what it returns, as one that only looks does"
        return _likely(_replaces(observation, hook, run, why))
    if made.divides and not made.multiplies_tensors:
        why = "it divides by a number made of the output, as one does to draw it, or to normalise it"
        return as_remark(_replaces(observation, hook, run, why))
    return None


def _copies(name: str) -> bool:
    """Whether it gives the same numbers; a new leaf, which a hook makes on purpose, is another matter."""
    return has(name, "same") and not has(name, "rewraps")


def _is_affine(name: str) -> bool:
    """Whether it only scales and shifts the output, as steering and ablation do."""
    return has(name, "sums", "product", "negates") or (has(name, "divides") and not is_reflected(name))


def _only_shows(name: str) -> bool:
    """Whether it is what one does to a tensor in order to draw or print it."""
    return _copies(name) or has(
        name, "sums", "product", "divides", "negates", "reduces", "reshapes", "permutes", "selects", "display"
    )


def _likely(found: Finding) -> Finding:
    return replace(found, diagnostic=replace(found.diagnostic, severity="warning"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """How the returned tensors were made: the operations inside the hook that lead from the output to them.

    ``divides`` tells that the output is divided by a statistic of itself, ``is_from_elsewhere`` that something else
    than the output went in, ``is_older`` that nothing of it was made in this run.
    """

    names: frozenset[str]
    divides: bool
    multiplies_tensors: bool
    is_from_elsewhere: bool
    is_older: bool


def _made_of(recording: Recording, run: HookRun) -> _Making:
    inside = range(run.first_operation, run.end_operation)
    operations, elsewhere = _back(recording, run.returned, set(run.outputs), inside)
    divisors: set[str] = set()
    multiplies = False
    for operation in operations:
        name, inputs = recording.name_of(operation), recording.inputs_of(operation)
        if has(name, "divides") and len(inputs) > 1:
            below, _ = _back(recording, inputs[1:], set(run.outputs), inside)
            divisors |= {recording.name_of(one) for one in below}
        multiplies |= has(name, "product") and len(inputs) > 1
    is_old = not operations and not set(run.returned) & set(run.outputs)
    return _Making(
        names=frozenset(map(recording.name_of, operations)),
        divides=any(has(one, "reduces") for one in divisors),
        multiplies_tensors=multiplies,
        is_from_elsewhere=elsewhere,
        is_older=is_old,
    )


def _back(recording: Recording, values: Sequence[int], sources: set[int], inside: range) -> tuple[set[int], bool]:
    """The operations inside a hook that lead from ``sources`` to ``values``, and whether anything else leads there."""
    waiting, operations, elsewhere = list(values), set[int](), False
    while waiting:
        value = waiting.pop()
        producer = recording.values.producer[value]
        if value in sources:
            continue
        if producer not in inside:
            elsewhere = True
        elif producer not in operations:
            operations.add(producer)
            inputs = recording.inputs_of(producer)
            elsewhere |= not inputs
            waiting.extend(inputs)
    return operations, elsewhere


def _kept_by_itself(observation: Observation, hook: Hook, run: HookRun) -> bool:
    """Whether an older tensor is what the same hook was given and returned in an earlier run: ``setdefault(...)``.

    A cached activation that another hook, or the same one in another mode, puts in place is patched in deliberately.
    """
    origins = {origin for value in run.returned for origin in _origins(observation.recording, value)}
    return any(
        origins & set(earlier.outputs) and not earlier.is_silent and earlier is not run
        for other in observation.program.hooks
        if other.kind == "forward" and other.defined == hook.defined and other.site == hook.site
        for earlier in other.runs
        if earlier.first_operation <= run.first_operation
    )


def _origins(recording: Recording, value: int) -> set[int]:
    found = {value}
    while True:
        producer = recording.values.producer[value]
        inputs = recording.inputs_of(producer) if producer >= 0 else ()
        if len(inputs) != 1 or not _copies(recording.name_of(producer)):
            return found
        value = inputs[0]
        found.add(value)


def _ends_program(observation: Observation, run: HookRun) -> bool:
    return any(
        failure.is_last
        and 0 <= failure.operation - run.end_operation <= _SOON
        and failure.type_name in ("TypeError", "AttributeError")
        for failure in observation.program.failures
    )


def _reads_numbers(recording: Recording, run: HookRun) -> bool:
    inside = range(run.first_operation, run.end_operation)
    return any(
        has(recording.name_of(operation), "leaves")
        and _comes_from(recording, recording.inputs_of(operation), set(run.returned))
        for operation in inside
    )


def _comes_from(recording: Recording, values: Sequence[int], sources: set[int]) -> bool:
    waiting, seen = list(values), set[int]()
    while waiting:
        value = waiting.pop()
        if value in sources:
            return True
        if value in seen:
            continue
        seen.add(value)
        producer = recording.values.producer[value]
        if producer >= 0:
            waiting.extend(recording.inputs_of(producer))
    return False


def _replaces(observation: Observation, hook: Hook, run: HookRun, why: str) -> Finding:
    module = observation.program.modules[hook.module]
    return finding(
        "hook-replaces-output",
        "wrong",
        f"the hook on `{module.name or module.type_name}` returns a value, which takes the place of the layer's output",
        place_of_return(hook) or observation.recording.site_span(hook.site),
        label="returned to the model as the new output",
        annotations=((observation.recording.site_span(hook.site), "the hook is registered here"),),
        notes=(
            "what a forward hook returns, unless it is `None`, replaces the output: the model computes something else",
            why,
        ),
        helps=("return nothing from a hook that only looks", "in a `lambda`, end with `... and None`"),
        target=module.name or module.type_name,
        operation=run.first_operation,
    )


def _returns_copy(observation: Observation, hook: Hook, run: HookRun) -> Finding:
    module = observation.program.modules[hook.module]
    recording = observation.recording
    copies = [
        operation
        for operation in range(run.first_operation, run.end_operation)
        if has(recording.name_of(operation), "detaches")
    ]
    name = module.name or module.type_name
    return finding(
        "hook-detach",
        "broken",
        f"the hook on `{name}` returns a detached copy, which takes the place of the layer's output",
        recording.span_of(copies[0]) or recording.site_span(hook.site),
        label="a copy without history, returned to the model",
        annotations=(
            (place_of_return(hook), "returned here"),
            (recording.site_span(hook.site), "the hook is registered here"),
        ),
        notes=("the model goes on with the same numbers, and no gradient comes back to what is before this layer",),
        helps=("return nothing from a hook that only looks", "keep the output itself, and detach only what is drawn"),
        target=name,
        operation=run.first_operation,
    )
