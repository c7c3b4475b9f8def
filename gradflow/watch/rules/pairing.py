"""GF204, GF207: a gradient of one call or layer is multiplied with the activation of another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from gradflow.location import SourceSpan
from gradflow.recording import Recording
from gradflow.recording.program.events import Hook, HookRun
from gradflow.source.definitions import argument_at, definition_of, loop_with_zip
from gradflow.source.hooks import keeps_all, place_of_keeping, place_of_use
from gradflow.watch.facts.captures import hook_that_stored
from gradflow.watch.facts.gradient_products import GradientProducts, Product
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.mixing import in_one_score

__all__ = ["gradient_of_another_call"]

_TURNS = 20
"""Of a loop, so many products at one line are looked into that may be mistakes."""


def gradient_of_another_call(observation: Observation) -> tuple[Finding, ...]:
    """Which gradients and which activations the program multiplies, and whether they belong together."""
    if not observation.program.gradient_of:
        return ()
    pairs = GradientProducts(observation)
    at_inputs = _gradients_at_inputs(observation)
    found: dict[SourceSpan | None, Finding] = {}
    strange: list[Product] = []
    elsewhere: list[Product] = []
    in_order: set[int] = set()
    for product, chain in pairs.products():
        if product.gradient in observation.program.gradient_ties:
            continue
        if product.gradient in at_inputs:
            hook, run = at_inputs[product.gradient]
            if _same_module(observation, run.call, product.activation_call):
                one = _at_input(observation, product, hook, run)
                found.setdefault(one.diagnostic.location, one)
        elif product.gradient_call >= 0 and product.gradient_call in chain.calls:
            in_order.add(product.gradient_call)
        elif product.gradient_call < 0:
            elsewhere.extend([product] if product.is_pooled and pairs.is_input(product.gradient) else [])
        elif not chain.values & _read_in(observation.recording, product.gradient_call):
            strange.append(product)
    known = {pairs.call_of(root) for root in set(pairs.roots.values()) - set(at_inputs)}
    for product in _first_turns(observation.recording, strange):
        mine, theirs = product.gradient_call, product.activation_call
        is_shared = _same_module(observation, mine, theirs)
        if mine in in_order or not (is_shared or theirs in known):
            continue
        if in_one_score(observation, product.operation, mine, theirs):
            one = _mixed_up(observation, product, is_shared=is_shared)
            found.setdefault(one.diagnostic.location, one)
    for product in _first_turns(observation.recording, elsewhere):
        if pairs.is_on_the_way(product) and product.activation_call not in in_order:
            one = _of_the_input(observation, product)
            found.setdefault(one.diagnostic.location, one)
    return tuple(found.values())


def _first_turns(recording: Recording, products: Iterable[Product]) -> Iterator[Product]:
    counts: Counter[int] = Counter()
    for product in products:
        site = recording.operations.site[product.operation]
        counts[site] += 1
        if counts[site] <= _TURNS:
            yield product


def _gradients_at_inputs(observation: Observation) -> dict[int, tuple[Hook, HookRun]]:
    """The gradients that full backward hooks were given as ``grad_input`` and that differ from those at the output."""
    found = {}
    at_outputs = {
        v for hook in observation.program.hooks if hook.kind == "backward" for run in hook.runs for v in run.outputs
    }
    for hook in observation.program.hooks:
        for run in hook.runs if hook.kind == "backward" else ():
            for value in run.inputs:
                if value >= 0 and not run.inputs_equal and value not in at_outputs:
                    found[value] = hook, run
    return found


def _read_in(recording: Recording, call: int) -> frozenset[int]:
    """What the operations of a module call read: the product with the gradient at its output may be a weight's."""
    one = recording.calls[call]
    inside = range(one.first_operation, one.end_operation)
    return frozenset(value for operation in inside for value in recording.inputs_of(operation))


def _same_module(observation: Observation, one: int, other: int) -> bool:
    return one >= 0 and other >= 0 and observation.program.call_modules[one] == observation.program.call_modules[other]


def _name(observation: Observation, call: int) -> str:
    made = observation.recording.calls[call]
    return made.module or made.type_name


def _at_input(observation: Observation, product: Product, hook: Hook, run: HookRun) -> Finding:
    recording = observation.recording
    layer = _name(observation, run.call)
    at_input, at_output = hook.arguments[1:3] if len(hook.arguments) > 2 else ("grad_input", "grad_output")
    return finding(
        "wrong-grad-source",
        "wrong",
        f"the gradient at the input of `{layer}` is combined with the activation at its output",
        place_of_use(hook, 1) or recording.site_span(hook.site),
        label="the gradient with respect to what went into the layer",
        annotations=(
            (recording.site_span(hook.site), "the hook is registered here"),
            (recording.span_of(product.operation), "multiplied with the layer's output here"),
        ),
        notes=(
            (
                f"a full backward hook is given two gradients: `{at_input}` at what goes into the layer, and "
                f"`{at_output}` at what comes out, which is what a forward hook sees"
            ),
        ),
        helps=(
            f"use the gradient at the output: `{hook.arguments[2] if len(hook.arguments) > 2 else 'grad_output'}[0]`",
        ),
        target=layer,
        operation=product.operation,
    )


def _of_the_input(observation: Observation, product: Product) -> Finding:
    recording = observation.recording
    layer = _name(observation, product.activation_call)
    here, *callers = recording.way_to(product.operation) or (None,)
    read = next((r for r in observation.program.reads if r.result == product.gradient), None)
    taken = definition_of(here, argument_at(here, product.positions[0]), callers) if here is not None else None
    return finding(
        "wrong-grad-source",
        "wrong",
        f"the averaged gradient of the input is used to weigh the activation of `{layer}`",
        (recording.site_span(read.site) if read is not None else None) or taken or here,
        label="the gradient with respect to the input of the model",
        annotations=((here, "multiplied with an activation here"),),
        notes=("its channels are those of the input, and have nothing to do with the channels of the layer",),
        helps=(f"take the gradient at the output of `{layer}`: `torch.autograd.grad(score, activation)`",),
        target=layer,
        operation=product.operation,
    )


def _mixed_up(observation: Observation, product: Product, *, is_shared: bool) -> Finding:
    recording = observation.recording
    mine, theirs = product.gradient_call, product.activation_call
    layer, other = _name(observation, mine), _name(observation, theirs)
    here, *callers = recording.way_to(product.operation) or (None,)
    arguments = [argument_at(here, position) for position in product.positions]
    zipped = loop_with_zip(here, arguments, callers) if here is not None else None
    kept = hook_that_stored(observation, recording.calls[theirs].outputs[0])
    place = zipped
    if place is None and kept is not None and keeps_all(kept):
        # nothing was overwritten: the wrong one was chosen, in the product or where its operand was made
        place = (definition_of(here, arguments[0], callers) if here is not None else None) or here
    if place is None and kept is not None and is_shared:
        place = place_of_keeping(kept, 2) or recording.site_span(kept.site)
    if place is None:
        given = _hook_given(observation, product.gradient)
        place = (place_of_keeping(given, 2) or recording.site_span(given.site)) if given is not None else here
    overwrites = zipped is None and (kept is None or not keeps_all(kept))
    calls = sum(key == observation.program.call_modules[mine] for key in observation.program.call_modules)
    return finding(
        "shared-layer-overwrite",
        "wrong",
        f"the gradient of one call of `{layer}` is combined with the activation of another of its calls"
        if is_shared
        else f"the gradient at `{layer}` is combined with the activation of `{other}`",
        place,
        label="each run overwrites the one before" if overwrites else "pairs what does not belong together",
        annotations=(
            (here, "combined here"),
            (recording.site_span(recording.calls[theirs].site), "the activation was made by this call"),
            (recording.site_span(recording.calls[mine].site), "the gradient belongs to this call"),
        ),
        notes=(
            "backward runs through the calls in the opposite order: the gradients come last call first",
            *((f"`{layer}` is called {calls} times",) if is_shared else ()),
        ),
        helps=(
            "keep activation and gradient of one call together: `output.register_hook(...)` inside the forward hook",
            "or turn one of the lists around: `zip(activations, reversed(gradients))`",
        ),
        target=layer,
        operation=product.operation,
    )


def _hook_given(observation: Observation, gradient: int) -> Hook | None:
    return next(
        (
            hook
            for hook in observation.program.hooks
            if hook.kind == "backward" and any(gradient in run.outputs for run in hook.runs)
        ),
        None,
    )
