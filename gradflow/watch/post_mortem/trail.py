"""Follows a value backward through the assignments of the source to the line at which its history is lost.

Values that the frame still holds are looked at; of values that are gone, the source alone tells. Nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any

from gradflow.location import SourceSpan, is_installed
from gradflow.watch.post_mortem.autograd_facts import Holds
from gradflow.watch.post_mortem.cuts import carries_no_value, cut_between, is_reentrant_checkpoint
from gradflow.watch.post_mortem.look import MISSING, is_module, is_tensor
from gradflow.watch.post_mortem.references import key_of, leaves_made_in, references_in, way_up
from gradflow.watch.post_mortem.scope import Scope, scope_of_call
from gradflow.watch.post_mortem.source import Definition, Position, parents_in, text_of

__all__ = ["Loss", "Trail"]

_STEPS = 200
_CALLS_DEEP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Where a history ends: ``source`` still had it, ``result`` no longer has.

    ``cause`` is empty where the source does not tell it, and ``called`` then what the line calls. ``is_proven``: the
    value that has a history was seen, and this line alone lies between it and the one that has none.
    """

    span: SourceSpan
    result: str
    cause: str = ""
    operation: str = ""
    source: str = ""
    source_span: SourceSpan | None = None
    is_proven: bool = False
    called: str = ""


@dataclass(slots=True)
class Trail:
    """The search for where something is lost.

    ``holds`` tells of a value whether it still has what is looked for, ``is_made_anew`` whether a leaf has it that is
    made on the way: a history begins there, and no way to another tensor does. After :meth:`search`: ``losses``,
    nearest to the end first, or ``aside``, those on the way to whole numbers; and ``plain``, the modules and the values
    without it at the other ends of the trail; ``switches``, what had recording switched off where nothing would have
    been recorded.
    """

    holds: Holds
    is_made_anew: bool = True
    losses: list[Loss] = field(default_factory=list)
    aside: list[Loss] = field(default_factory=list)
    plain: list[tuple[str, Any]] = field(default_factory=list)
    switches: list[Loss] = field(default_factory=list)
    is_whole: bool = True
    steps: int = 0
    _seen: set[tuple[int, str, Position]] = field(default_factory=set)

    def search(self, node: ast.expr, scope: Scope, value: Any) -> None:
        """Look for what keeps an expression, where a frame stood, from having what is looked for."""
        statement = Definition(scope.listing.paths[-1], scope.listing.name, scope.end, node, node)
        self._through(statement, scope, value, text_of(node), is_last=True)

    def _through(
        self, definition: Definition, scope: Scope, value: Any, key: str, *, is_last: bool = False
    ) -> bool | None:
        """One assignment: whether what it gives would have history, and where that is lost in it."""
        if definition.value is None:
            return None
        count = len(self.losses)
        has = self._follow(definition.value, scope, definition.position, key)
        if not has or len(self.losses) > count:
            off = (
                scope.switched_off(definition.position) if len(self.losses) == count and value is not MISSING else None
            )
            if off is not None and self.holds(value) is False:
                self.switches.append(Loss(span=off[1], result=key, cause=off[0], is_proven=True))
            return has if len(self.losses) == count else False
        switch = None if is_last and isinstance(definition.value, ast.Name) else scope.switched_off(definition.position)
        if switch is not None:
            self._lost(definition, key, cause=switch[0], span=switch[1], is_proven=value is not MISSING)
            return False
        if value is not MISSING and self.holds(value) is not False:
            return has
        if value is MISSING:
            return has if not self._into_calls(definition, scope) else False
        read = [ast.unparse(one) for one in references_in(definition.value, scope.names)]
        late = scope.switched_on(read, definition.position)
        if late is not None:
            self._lost(definition, key, cause="requires-grad-too-late", span=late, is_proven=True)
            return False
        if not self._into_calls(definition, scope):
            calls = [node for node in ast.walk(definition.value) if isinstance(node, ast.Call)]
            called = text_of(calls[-1].func) if calls else ""
            cause = "reentrant-checkpoint" if any(map(is_reentrant_checkpoint, calls)) else ""
            is_proven = not scope.has_flags_switched(definition.position)
            self._lost(definition, key, span=definition.span(), cause=cause, is_proven=is_proven, called=called)
        return False

    def _lost(
        self,
        definition: Definition,
        result: str,
        *,
        span: SourceSpan,
        cause: str = "",
        is_proven: bool = False,
        called: str = "",
    ) -> None:
        self.losses.append(
            Loss(
                span=span,
                result=result,
                cause=cause,
                source_span=definition.span(),
                is_proven=is_proven,
                called=called,
            )
        )

    def _follow(self, node: ast.expr, scope: Scope, at: Position, result: str) -> bool | None:
        """Whether an expression would have history by what goes into it; ``None`` where that is not known.

        What is cut off within the expression is noted, and does not count.
        """
        self.steps += 1
        if self.steps > _STEPS:
            self.is_whole = False
            return None
        answers: list[bool | None] = []
        parents = parents_in(node)
        for reference in (*references_in(node, scope.names), *leaves_made_in(node)):
            path = way_up(reference, parents)
            if carries_no_value(path):
                continue
            is_new = isinstance(reference, ast.Call)
            has, is_seen, span = (self.is_made_anew, True, None) if is_new else self._ask(reference, scope, at)
            cut = cut_between(path, scope.names) if has is not False else None
            if cut is None:
                answers.append(has)
                continue
            self.losses.append(
                Loss(
                    span=scope.span(cut.node, at),
                    result=result,
                    cause=cut.cause,
                    operation=cut.operation,
                    source=text_of(reference),
                    source_span=span,
                    is_proven=has is True and (is_seen or not scope.is_gone or scope.is_straight(at)),
                )
            )
        return True if True in answers else None if None in answers else False

    def _ask(self, reference: ast.expr, scope: Scope, at: Position) -> tuple[bool | None, bool, SourceSpan | None]:
        """Whether a name had, at a place, what is looked for; whether its value was seen; where it was last set."""
        key = key_of(reference)
        defined = scope.last_definitions(reference, key, at)
        span = defined[0].span() if defined else None
        value = scope.value(reference, key, at)
        has = self.holds(value) if value is not MISSING else None
        if has is False and type(value) is FunctionType:
            has = None  # what it makes and returns is another matter
        if has is not None:
            if is_module(value):
                self.plain.append((text_of(reference), value))
            elif not has:
                if _is_whole_number(value):
                    # most likely a target or an index, which is not meant to carry a gradient
                    other = Trail(self.holds, self.is_made_anew, steps=self.steps, _seen=self._seen)
                    other._into(reference, key, scope, at, defined, value)
                    self.aside += other.losses
                else:
                    self._into(reference, key, scope, at, defined, value)
            return has, True, span
        if scope.is_gone and not defined and key in scope.parameters:
            return (True if key in scope.given else None), False, None
        return self._into(reference, key, scope, at, defined, MISSING), False, span

    def _into(
        self, reference: ast.expr, key: str, scope: Scope, at: Position, defined: Sequence[Definition], value: Any
    ) -> bool | None:
        """Go on at what gave a name its value."""
        mark = (id(scope.listing), ast.unparse(reference), at)
        if mark in self._seen:
            return None
        self._seen.add(mark)
        if defined:
            if value is not MISSING and not any(one.value and _reads(one.value, scope) for one in defined):
                self.plain.append((text_of(reference), value))
                if isinstance(reference, ast.Subscript) and not scope.listing.definitions(ast.unparse(reference)):
                    self.is_whole = False  # what it lies in is made there; who put it in, such as a hook, is not seen
            count = len(self.losses)
            may_be = [one for one in defined if not _is_another(one, scope, value)]
            answers = [self._through(one, scope, value, text_of(reference)) for one in may_be]
            if sum(not one.is_partial for one in may_be) > 1:  # which of the branches ran is not known
                self.losses[count:] = [replace(loss, is_proven=False) for loss in self.losses[count:]]
            return True if True in answers else None if None in answers else False
        root = key.partition(".")[0]
        if scope.outer is not None and root in scope.parameters:
            caller, arguments = scope.outer
            if key in arguments:
                return self._follow(arguments[key], caller, caller.end, key)
            if root != key and caller.names.get(root) is scope.names.get(root):  # a method, called by another one
                return self._ask(reference, caller, caller.end)[0]
        module = scope.module() if root not in scope.parameters else None
        if module is not None and module.listing.definitions(key):
            return self._ask(reference, module, module.end)[0]
        self.is_whole = False
        if value is not MISSING:
            self.plain.append((text_of(reference), value))
        return None if value is MISSING else False

    def _into_calls(self, definition: Definition, scope: Scope) -> bool:
        """Whether the history is cut off inside one of the functions that a line calls, by their source."""
        count = len(self.losses)
        for call in ast.walk(definition.value or definition.node):
            if isinstance(call, ast.Call):
                self._into_call(call, scope, definition.position)
        return len(self.losses) > count

    def _into_call(self, call: ast.Call, scope: Scope, at: Position) -> None:
        """Read the source of a function of the program that has returned, from its ``return`` backward."""
        found = scope_of_call(call, scope) if scope.depth < _CALLS_DEEP else None
        if found is None:
            return
        inner, arguments = found
        path = inner.listing.paths[0]
        if is_installed(path):
            return
        given = frozenset(name for name, value in arguments.items() if self._quietly(value, scope, at) is not False)
        inner = Scope(inner.listing, inner.names, inner.end, given=given, is_gone=True, depth=inner.depth)
        for position, node in inner.listing.statements:
            if isinstance(node, ast.Return) and node.value is not None:
                self._through_return(node.value, inner, position)

    def _through_return(self, value: ast.expr, scope: Scope, position: Position) -> None:
        count = len(self.losses)
        has = self._follow(value, scope, position, "what it returns")
        if has is False or len(self.losses) > count:
            return
        switch = scope.switched_off(position)
        if switch is not None:
            is_proven = has is True and scope.is_straight(position)
            self.losses.append(Loss(span=switch[1], result="what it returns", cause=switch[0], is_proven=is_proven))
            return
        for call in ast.walk(value):
            if isinstance(call, ast.Call):
                self._into_call(call, scope, position)

    def _quietly(self, node: ast.expr, scope: Scope, at: Position) -> bool | None:
        """As :meth:`_follow`, with nothing noted."""
        other = Trail(self.holds, self.is_made_anew, steps=self.steps)
        return other._follow(node, scope, at, "")


def _is_another(definition: Definition, scope: Scope, value: Any) -> bool:
    """Whether a plain ``a = b`` is seen not to be what gave ``a`` its value: ``b`` is another tensor."""
    if not is_tensor(value) or not isinstance(definition.value, (ast.Name, ast.Attribute, ast.Subscript)):
        return False
    if definition.is_partial:
        return False
    source = scope.value(definition.value, key_of(definition.value), definition.position)
    return is_tensor(source) and source is not value


def _reads(node: ast.expr, scope: Scope) -> bool:
    """Whether an expression is made from anything but constants."""
    return bool(references_in(node, scope.names) or leaves_made_in(node))


def _is_whole_number(value: Any) -> bool:
    return is_tensor(value) and not (value.dtype.is_floating_point or value.dtype.is_complex)
