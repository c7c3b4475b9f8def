"""The conditions that decide whether a piece of a method runs, and what the recorded lines say about them."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gradflow.location import SourceSpan
from gradflow.source.class_source import MethodSource

__all__ = ["Guard", "guards_of"]

Evidence = Literal["entered", "avoided", "both", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A condition on the way to a piece of code.

    Attributes
    ----------
    span, text
        The condition itself.
    kind
        The statement or expression it belongs to: ``"if"``, ``"while"``, ``"conditional expression"``, ``"and"``,
        ``"or"``, ``"early return"``, ``"case"``.
    runs_when
        Whether the guarded code runs when the condition is true, or when it is false.
    evidence
        What the lines on which operations were recorded say: the guarded side ran (``entered``), only the other side
        did (``avoided``), ``both`` did (in different calls), or ``none`` is known to have run.
    subject, is_default
        Of a ``"case"``, whose condition is its pattern: what is matched, and whether whatever comes so far matches.
    """

    span: SourceSpan
    text: str
    kind: str
    runs_when: bool
    evidence: Evidence
    subject: str = ""
    is_default: bool = False

    @property
    def outcome(self) -> str:
        """How the condition must have come out for the guarded code not to run, in words."""
        return self.told(holds=not self.runs_when)

    def told(self, *, holds: bool, is_sure: bool = True) -> str:
        """That the condition held, or did not, in words."""
        probably = "" if is_sure else "probably "
        if self.kind != "case":
            return f"`{self.text}` was {probably}{'true' if holds else 'false'}"
        if holds:
            return f"`{self.subject}` {probably}matched `{self.text}`"
        if self.is_default:
            return f"`{self.subject}` {probably}matched a case before `{self.text}`"
        return f"`{self.subject}` {probably}did not match `{self.text}`"

    def wish(self, *, holds: bool) -> str:
        """What to do for the condition to hold, or not to."""
        if self.kind != "case":
            return f"make `{self.text}` {'true' if holds else 'false'}"
        if self.is_default:
            return f"give `{self.subject}` a value that {'no' if holds else 'a'} case before `{self.text}` matches"
        return f"give `{self.subject}` a value that {'matches' if holds else 'does not match'} `{self.text}`"


def guards_of(
    method: MethodSource,
    node: ast.AST,
    executed: frozenset[tuple[str, int]],
    is_known: Callable[[ast.expr], bool],
) -> tuple[Guard, ...]:
    """The conditions that decide whether a node of a method runs, outermost first, without those that are known."""
    judge = _Judge(method, executed, is_known)
    levels = [
        [*judge.enclosing(child, parent), *judge.earlier(child, parent)] for child, parent in method.ancestors(node)
    ]
    return tuple(guard for level in reversed(levels) for guard in level)


class _Judge:
    def __init__(
        self, method: MethodSource, executed: frozenset[tuple[str, int]], is_known: Callable[[ast.expr], bool]
    ) -> None:
        self._method = method
        self._is_known = is_known
        self._executed = executed

    def enclosing(self, child: ast.AST, parent: ast.AST) -> Iterator[Guard]:
        """Conditions of the statement or expression that directly holds ``child``."""
        match parent:
            case ast.If(test=test, body=body, orelse=orelse) if not self._is_known(test):
                if child in body:
                    yield self._guard(test, "if", True, body, orelse)
                elif child in orelse:
                    yield self._guard(test, "if", False, orelse, body)
            case ast.While(test=test, body=body) if child in body and not isinstance(test, ast.Constant):
                yield self._guard(test, "while", True, body, [])
            case ast.IfExp(test=test, body=when_true, orelse=when_false) if child is not test and not self._is_known(
                test
            ):
                own, other = (when_true, when_false) if child is when_true else (when_false, when_true)
                yield self._guard(test, "conditional expression", child is when_true, [own], [other])
            case ast.BoolOp(op=operator, values=values):
                kind = "and" if isinstance(operator, ast.And) else "or"
                for value in itertools.takewhile(lambda value: value is not child, values):
                    if self._is_known(value):
                        continue
                    yield self._guard(value, kind, kind == "and", [], [])
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp() if child not in parent.generators:
                for generator in parent.generators:
                    for test in generator.ifs:
                        yield self._guard(test, "if", True, [], [])
            case ast.match_case(body=body) if child in body:
                statement = self._method.parents[parent]
                if isinstance(statement, ast.Match):
                    others = [line for case in statement.cases if case is not parent for line in case.body]
                    yield self._case(statement, parent, True, body, others)

    def earlier(self, child: ast.AST, parent: ast.AST) -> Iterator[Guard]:
        """Conditions that stand before a statement in its block and leave the block when they hold."""
        for _, block in ast.iter_fields(parent):
            if not isinstance(block, list) or child not in block:
                continue
            for position, statement in enumerate(block[: block.index(child)]):
                match statement:
                    case ast.If(test=test, body=body, orelse=orelse) if _leaves(body):
                        yield self._guard(test, "early return", False, [*orelse, *block[position + 1 :]], body)
                    case ast.If(test=test, body=body, orelse=orelse) if orelse and _leaves(orelse):
                        yield self._guard(test, "early return", True, [*body, *block[position + 1 :]], orelse)
                    case ast.Match(cases=cases):
                        after = block[position + 1 :]
                        for one in (one for one in cases if _leaves(one.body)):
                            others = [line for other in cases if not _leaves(other.body) for line in other.body]
                            yield self._case(statement, one, False, [*others, *after], one.body)

    def _case(
        self,
        statement: ast.Match,
        case: ast.match_case,
        runs_when: bool,
        own: Sequence[ast.AST],
        other: Sequence[ast.AST],
    ) -> Guard:
        """The pattern of a case as a condition, together with what stands behind its ``if``."""
        found = self._guard(case.pattern, "case", runs_when, own, other)
        is_any = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None
        text = found.text if case.guard is None else f"{found.text} if {self._method.text(case.guard)}"
        return replace(found, text=text, subject=self._method.text(statement.subject), is_default=is_any)

    def _guard(
        self,
        test: ast.expr | ast.pattern,
        kind: str,
        runs_when: bool,
        own: Sequence[ast.AST],
        other: Sequence[ast.AST],
    ) -> Guard:
        entered, avoided = self._ran(own, test), self._ran(other, test)
        evidence: Evidence = "none"
        if entered or avoided:
            evidence = "both" if entered and avoided else "entered" if entered else "avoided"
        return Guard(
            span=self._method.span(test),
            text=self._method.text(test),
            kind=kind,
            runs_when=runs_when,
            evidence=evidence,
        )

    def _ran(self, nodes: Sequence[ast.AST], test: ast.expr | ast.pattern) -> bool:
        """Whether an operation was recorded on a line of these nodes that is not also a line of the condition."""
        own = range(test.lineno, (test.end_lineno or test.lineno) + 1)
        return any(
            (self._method.path, line) in self._executed
            for node in nodes
            if isinstance(node, (ast.expr, ast.stmt))
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if line not in own
        )


def _leaves(block: Sequence[ast.stmt]) -> bool:
    match block[-1]:
        case ast.If(body=body, orelse=orelse):
            return bool(orelse) and _leaves(body) and _leaves(orelse)
        case ast.With(body=body) | ast.AsyncWith(body=body):
            return _leaves(body)
        case last:
            return isinstance(last, (ast.Return, ast.Raise, ast.Continue, ast.Break))
