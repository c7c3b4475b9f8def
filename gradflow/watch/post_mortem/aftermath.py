"""Everything that an exception left behind, put together for the rules that explain it."""

from __future__ import annotations

import ast
import contextlib
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch

from gradflow.location import SourceSpan
from gradflow.record.conduct.their_exceptions import text_of as text_of_error
from gradflow.record.conduct.their_exceptions import traceback_of
from gradflow.watch.post_mortem.look import MISSING, is_tensor, look_up, variables_of
from gradflow.watch.post_mortem.places import Place, places_in, torch_argument
from gradflow.watch.post_mortem.references import references_in
from gradflow.watch.post_mortem.scope import Scope, arguments_of
from gradflow.watch.post_mortem.source import listing_of, text_of

__all__ = ["Aftermath", "aftermath_of", "asked_in", "frame_scope"]


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What is left after an exception.

    ``scope`` is the innermost frame that is not torch's, ``None`` where its source cannot be read; ``span`` the line to
    show: the program's own innermost one. ``roots`` and ``inputs`` are the very tensors that autograd was given, with
    the expressions that stand for them.
    """

    said: str
    span: SourceSpan | None
    scope: Scope | None
    names: Mapping[str, Any]
    expression: ast.expr | None
    roots: Sequence[torch.Tensor] = ()
    inputs: Sequence[torch.Tensor] = ()
    root_nodes: Sequence[ast.expr] = ()
    input_nodes: Sequence[ast.expr] = ()

    def root_node(self, index: int = 0) -> ast.expr | None:
        """The expression of one score."""
        return self.root_nodes[index] if index < len(self.root_nodes) else None

    def input_node(self, index: int) -> ast.expr | None:
        """The expression of one tensor whose gradient was asked for."""
        return self.input_nodes[index] if len(self.input_nodes) == len(self.inputs) else None

    @property
    def score(self) -> str:
        """The score as the source calls it."""
        node = self.root_node()
        return f"`{text_of(node)}`" if node is not None else "the score"


@contextlib.contextmanager
def aftermath_of(error: BaseException) -> Iterator[Aftermath]:
    """Look at an exception's frames; what was looked at is let go of again at the end."""
    with contextlib.ExitStack() as stack:
        places = places_in(traceback_of(error))
        scope = _scope_of(places, stack)
        own = [place for place in places if place.is_own]
        here = places[-1] if places else None
        names = scope.names if scope is not None else _names(here, stack) if here is not None else {}
        expression = here.expression if here is not None else None
        root_nodes, input_nodes = asked_in(expression, names)
        roots, inputs = _given(error)
        yield Aftermath(
            said=" ".join(text_of_error(error).split()),
            span=own[-1].span if own else here.span if here is not None else None,
            scope=scope,
            names=names,
            expression=expression,
            roots=roots,
            inputs=inputs,
            root_nodes=root_nodes,
            input_nodes=input_nodes,
        )


def _scope_of(places: list[Place], stack: contextlib.ExitStack) -> Scope | None:
    """The innermost frame, linked to those that called it as far as their source can be read."""
    if not places:
        return None
    place = places[-1]
    listing = listing_of(place.frame.f_code)
    if listing is None:
        return None
    names = _names(place, stack)
    end = (len(listing.paths) - 1, place.span.line, place.byte_column)
    scope = Scope(listing, names, end)
    caller = _scope_of(places[:-1], stack) if len(places) > 1 else None
    if caller is None:
        return scope
    arguments = _arguments(places[-2], caller, place, scope)
    return Scope(listing, names, end, outer=(caller, arguments))


def frame_scope(frame: FrameType, span: SourceSpan, stack: contextlib.ExitStack) -> Aftermath:
    """The same view of a frame that is still running, at one line of it."""
    place = Place(frame, span, is_own=True)
    scope = _scope_of([place], stack)
    names = scope.names if scope is not None else {}
    return Aftermath(said="", span=span, scope=scope, names=names, expression=place.expression)


def _names(place: Place, stack: contextlib.ExitStack) -> Mapping[str, Any]:
    variables = stack.enter_context(variables_of(place.frame))
    shared = place.frame.f_globals
    return variables if variables is shared else ChainMap({}, variables, shared)  # type: ignore[arg-type]


def _arguments(outer: Place, caller: Scope, inner: Place, scope: Scope) -> Mapping[str, ast.expr]:
    """Which expression of the caller each parameter was given, by position or because it is the same object."""
    call = outer.expression
    if not isinstance(call, ast.Call):
        return {}
    named = list(scope.parameters)
    if text_of(call.func).rpartition(".")[2] == inner.frame.f_code.co_name:
        if isinstance(call.func, ast.Attribute) and named[:1] in (["self"], ["cls"]):
            named = named[1:]
        return arguments_of(call, named)
    found = {}
    for reference in references_in(call, caller.names):
        value = look_up(reference, caller.names)
        for name in named:
            if is_tensor(value) and scope.names.get(name, MISSING) is value:
                found[name] = reference
    return found


def _given(error: BaseException) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The very tensors that autograd was given, from torch's own frames."""
    traceback = traceback_of(error)
    for function, roots, inputs in (("grad", "outputs", "inputs"), ("backward", "tensors", "inputs")):
        found = _tensors(torch_argument(traceback, function, roots))
        if found:
            return found, _tensors(torch_argument(traceback, function, inputs))
    for function in ("backward", "register_hook"):
        found = _tensors(torch_argument(traceback, function, "self"))
        if found:
            return found, []
    return [], []


def _tensors(value: Any) -> list[torch.Tensor]:
    if is_tensor(value):
        return [value]
    return [one for one in value if is_tensor(one)] if type(value) in (list, tuple) else []


def asked_in(call: ast.expr | None, names: Mapping[str, Any]) -> tuple[list[ast.expr], list[ast.expr]]:
    """The expressions of the scores and of the tensors whose gradients are asked for, in a call of autograd."""
    if not isinstance(call, ast.Call):
        return [], []
    keywords = {one.arg: one.value for one in call.keywords if one.arg is not None}
    function = call.func.attr if isinstance(call.func, ast.Attribute) else text_of(call.func)
    if isinstance(call.func, ast.Attribute) and function in ("backward", "register_hook", "retain_grad"):
        receiver = look_up(call.func.value, names)
        is_score = is_tensor(receiver) or (receiver is MISSING and not text_of(call.func.value).endswith("autograd"))
        if is_score:
            return [call.func.value], _elements(keywords.get("inputs"))
        return _elements(call.args[0] if call.args else keywords.get("tensors")), _elements(keywords.get("inputs"))
    given = list(call.args)
    roots = given[0] if given else keywords.get("outputs")
    inputs = given[1] if len(given) > 1 else keywords.get("inputs")
    return (_elements(roots), _elements(inputs)) if function == "grad" else (given[:1], [])


def _elements(node: ast.expr | None) -> list[ast.expr]:
    if isinstance(node, (ast.List, ast.Tuple)):
        return list(node.elts)
    return [node] if node is not None else []
