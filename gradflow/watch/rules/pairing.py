"""GF204, GF207: a gradient of one call or layer is multiplied with the activation of another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradflow.location import SourceSpan
from gradflow.trace.data import Trace
from gradflow.watch.capture_facts import hook_that_stored
from gradflow.watch.definitions import argument_at, definition_of, loop_with_zip
from gradflow.watch.events import Hook, HookRun, Observation
from gradflow.watch.finding import Finding, finding
from gradflow.watch.hook_source import keeps_all, place_of_keeping, place_of_use
from gradflow.watch.rules.mixing import PRODUCTS, in_one_score

__all__ = ["gradient_of_another_call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Product:
    """An operation that multiplies a gradient with an activation; calls by number, -1 for none."""

    operation: int
    gradient: int
    gradient_call: int
    activation_call: int
    positions: tuple[int, int]


def gradient_of_another_call(observation: Observation) -> tuple[Finding, ...]:
    """Which gradients and which activations the program multiplies, and whether they belong together."""
    if not observation.gradient_of:
        return ()
    pairs = _Pairs(observation)
    at_inputs = _gradients_at_inputs(observation)
    found: dict[SourceSpan | None, Finding] = {}
    strange: list[_Product] = []
    in_order: set[int] = set()
    for product, chain in pairs.products():
        if product.gradient in at_inputs:
            hook, run = at_inputs[product.gradient]
            if _same_module(observation, run.call, product.activation_call):
                one = _at_input(observation, product, hook, run)
                found.setdefault(one.diagnostic.location, one)
        elif product.gradient_call < 0 or product.gradient in observation.gradient_ties:
            continue
        elif product.gradient_call in chain.calls:
            in_order.add(product.gradient_call)
        elif not chain.values & _read_in(observation.trace, product.gradient_call):
            strange.append(product)
    known = {pairs.call_of(root) for root in set(pairs.roots.values()) - set(at_inputs)}
    for product in strange:
        mine, theirs = product.gradient_call, product.activation_call
        is_shared = _same_module(observation, mine, theirs)
        if mine in in_order or not (is_shared or theirs in known):
            continue
        if in_one_score(observation, product.operation, mine, theirs):
            one = _mixed_up(observation, product, is_shared=is_shared)
            found.setdefault(one.diagnostic.location, one)
    return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """The values that a tensor goes back to one by one, and the module calls that returned one of them."""

    values: frozenset[int]
    calls: tuple[int, ...]


class _Pairs:
    """The products of a gradient and an activation that a program forms outside its hooks.

    ``roots`` has every value that was computed from one gradient alone, with that gradient.
    """

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._trace = observation.trace
        self._made = {value: call.id for call in reversed(observation.trace.calls) for value in call.outputs}
        self._inside = [
            range(run.first_operation, run.end_operation)
            for hook in observation.hooks
            for run in hook.runs
            if run.first_operation < run.end_operation
        ]
        self.roots = self._follow()

    def _follow(self) -> dict[int, int]:
        trace = self._trace
        roots = {value: value for value in self._observation.gradient_of}
        for operation in range(len(trace)):
            inputs = trace.inputs_of(operation)
            sources = {roots.get(value, -1) for value in inputs}
            if len(sources) == 1 and -1 not in sources and trace.name_of(operation) != "autograd.grad":
                for value in trace.outputs_of(operation):
                    roots.setdefault(value, next(iter(sources)))
        return roots

    def call_of(self, gradient: int) -> int:
        """The module call at whose output a gradient was taken; -1 for none."""
        return self._made.get(self._observation.gradient_of[gradient], -1)

    def products(self) -> Iterator[tuple[_Product, _Chain]]:
        """Each of them, with where its activation comes from."""
        trace = self._trace
        for operation in range(len(trace)):
            if trace.name_of(operation) not in PRODUCTS:
                continue
            inputs = trace.inputs_of(operation)
            gradients = [position for position, value in enumerate(inputs) if value in self.roots]
            if not gradients or any(operation in one for one in self._inside):
                continue
            for position, other in enumerate(inputs):
                chain = self._chain(other) if position not in gradients else None
                if chain is None or not chain.calls:
                    continue
                for taken in gradients:
                    product = _Product(
                        operation=operation,
                        gradient=self.roots[inputs[taken]],
                        gradient_call=self.call_of(self.roots[inputs[taken]]),
                        activation_call=chain.calls[0],
                        positions=(taken, position),
                    )
                    yield product, chain

    def _chain(self, value: int) -> _Chain:
        trace = self._trace
        values, calls = [], []
        for _ in range(64):
            values.append(value)
            if value in self._made:
                calls.append(self._made[value])
            producer = trace.values.producer[value]
            inputs = trace.inputs_of(producer) if producer >= 0 else ()
            if len(inputs) != 1:
                break
            value = inputs[0]
        return _Chain(values=frozenset(values), calls=tuple(calls))


def _gradients_at_inputs(observation: Observation) -> dict[int, tuple[Hook, HookRun]]:
    """The gradients that full backward hooks were given as ``grad_input`` and that differ from those at the output."""
    found = {}
    at_outputs = {v for hook in observation.hooks if hook.kind == "backward" for run in hook.runs for v in run.outputs}
    for hook in observation.hooks:
        for run in hook.runs if hook.kind == "backward" else ():
            for value in run.inputs:
                if value >= 0 and not run.inputs_equal and value not in at_outputs:
                    found[value] = hook, run
    return found


def _read_in(trace: Trace, call: int) -> frozenset[int]:
    """What the operations of a module call read: the product with the gradient at its output may be a weight's."""
    one = trace.calls[call]
    inside = range(one.first_operation, one.end_operation)
    return frozenset(value for operation in inside for value in trace.inputs_of(operation))


def _same_module(observation: Observation, one: int, other: int) -> bool:
    return one >= 0 and other >= 0 and observation.call_modules[one] == observation.call_modules[other]


def _name(observation: Observation, call: int) -> str:
    made = observation.trace.calls[call]
    return made.module or made.type_name


def _at_input(observation: Observation, product: _Product, hook: Hook, run: HookRun) -> Finding:
    trace = observation.trace
    layer = _name(observation, run.call)
    at_input, at_output = hook.arguments[1:3] if len(hook.arguments) > 2 else ("grad_input", "grad_output")
    return finding(
        "wrong-grad-source",
        "wrong",
        f"the gradient at the input of `{layer}` is combined with the activation at its output",
        place_of_use(hook, 1) or trace.site_span(hook.site),
        label="the gradient with respect to what went into the layer",
        annotations=(
            (trace.site_span(hook.site), "the hook is registered here"),
            (trace.span_of(product.operation), "multiplied with the layer's output here"),
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


def _mixed_up(observation: Observation, product: _Product, *, is_shared: bool) -> Finding:
    trace = observation.trace
    mine, theirs = product.gradient_call, product.activation_call
    layer, other = _name(observation, mine), _name(observation, theirs)
    here = trace.span_of(product.operation)
    arguments = [argument_at(here, position) for position in product.positions]
    zipped = loop_with_zip(here, arguments) if here is not None else None
    kept = hook_that_stored(observation, trace.calls[theirs].outputs[0])
    place = zipped
    if place is None and kept is not None and keeps_all(kept):
        # nothing was overwritten: the wrong one was chosen, in the product or where its operand was made
        place = (definition_of(here, arguments[0]) if here is not None else None) or here
    if place is None and kept is not None and is_shared:
        place = place_of_keeping(kept, 2) or trace.site_span(kept.site)
    if place is None:
        given = _hook_given(observation, product.gradient)
        place = (place_of_keeping(given, 2) or trace.site_span(given.site)) if given is not None else here
    overwrites = zipped is None and (kept is None or not keeps_all(kept))
    calls = sum(key == observation.call_modules[mine] for key in observation.call_modules)
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
            (trace.site_span(trace.calls[theirs].site), "the activation was made by this call"),
            (trace.site_span(trace.calls[mine].site), "the gradient belongs to this call"),
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
            for hook in observation.hooks
            if hook.kind == "backward" and any(gradient in run.outputs for run in hook.runs)
        ),
        None,
    )
