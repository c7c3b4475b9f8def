"""Puts all observers on a program, takes them off again, and gathers what they saw."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

import torch

from gradflow.location import SourceSpan, is_installed, is_machinery, span_of
from gradflow.probe.custom_backward import function_spans
from gradflow.trace.patches import watched
from gradflow.watch.backward_calls import BackwardCalls
from gradflow.watch.compiled import CompiledCalls
from gradflow.watch.construction import Construction
from gradflow.watch.events import Failure, Observation, PlainTensor
from gradflow.watch.hooks import HookWatch
from gradflow.watch.log import Log
from gradflow.watch.module_calls import ModuleCalls
from gradflow.watch.optimizers import OptimizerWatch
from gradflow.watch.plain_tensors import plain_tensors
from gradflow.watch.program_sites import ProgramSites
from gradflow.watch.recording import ProgramRecorder

__all__ = ["OPERATIONS_KEPT", "Watch"]

OPERATIONS_KEPT = 200_000
"""So many operations are recorded; then gradflow steps aside and the program runs on at its own speed."""


class Watch:
    """Observes everything that runs inside :meth:`watching`.

    Parameters
    ----------
    steps
        Step aside after so many backward passes; ``None`` for no such bound.
    """

    def __init__(self, *, steps: int | None = None) -> None:
        self.log = Log()
        self.sites = ProgramSites(lambda: len(self.recorder.operations.name))
        self.recorder = ProgramRecorder(self.sites, self.log)
        self._steps = steps
        self._initially_enabled = torch.is_grad_enabled()
        self._stack = contextlib.ExitStack()
        self._is_gone = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Observe; torch is as it was afterwards, whatever happens inside."""
        recorder, log = self.recorder, self.log
        calls = ModuleCalls(recorder, log, self._leave)
        backwards = BackwardCalls(recorder, log, self._count)
        with self._stack:
            for observer in (
                watched(recorder),
                calls.watching(),
                backwards.watching(),
                HookWatch(recorder, log).watching(),
                Construction(recorder, log).watching(),
                OptimizerWatch(recorder, log).watching(),
                CompiledCalls(recorder, log, calls).watching(),
                self._recording(),
            ):
                self._stack.enter_context(observer)
            try:
                yield
            finally:
                recorder.suspended += 1

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """The recorder on torch's stack of function modes, unless it has left before the end."""
        self.recorder.__enter__()
        try:
            yield
        finally:
            if not self._is_gone:
                self.recorder.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _leave(self) -> None:
        """Having stepped aside, also stop torch from asking the recorder about every operation."""
        if not self._is_gone and torch._C._len_torch_function_stack():
            top = torch._C._pop_torch_function_stack()
            if top is self.recorder:
                self._is_gone = True
            else:
                torch._C._push_on_torch_function_stack(top)

    def note_failure(self, error: BaseException, *, is_last: bool = True) -> None:
        """An exception ended the program."""
        keys = self.log.keys
        module = getattr(error, "obj", None) if isinstance(error, AttributeError) else None
        is_module = isinstance(module, torch.nn.Module)
        self.log.failures.append(
            Failure(
                type_name=type(error).__name__,
                message=" ".join(str(error).split()),
                span=_place_of(error.__traceback__),
                operation=len(self.recorder.operations.name),
                is_last=is_last,
                attribute=str(getattr(error, "name", "") or "") if isinstance(error, AttributeError) else "",
                module=keys.key_of(module) if is_module else -1,
            )
        )

    def observation(self) -> Observation:
        """What was seen, as plain data."""
        log, recorder = self.log, self.recorder
        self._check_reachable()
        return Observation(
            trace=recorder.finish(score=-1, layer_values={}, initially_enabled=self._initially_enabled),
            call_modules=tuple(log.call_modules),
            modules=log.keys.modules,
            backwards=tuple(log.backwards),
            reads=tuple(log.reads),
            flags=tuple(log.flags),
            hooks=tuple(log.hooks),
            tensor_hooks=tuple(log.tensor_hooks),
            optimizers=tuple(log.optimizers),
            replacements=tuple(log.replacements),
            failures=tuple(log.failures),
            unregistered=log.unregistered,
            gradient_of=log.gradient_of,
            gradient_ties=frozenset(log.gradient_ties),
            captured_calls=frozenset(log.captured_calls),
            function_spans=dict(function_spans(recorder.functions)),
            zero_parts=tuple(log.zero_parts),
            low_precision=tuple(log.low_precision),
            returned=log.numbers.returned,
            made_at=log.made_at,
            copies=log.copies,
            plain_tensors=self._plain_tensors(),
            callers={site: tuple(callers) for site, callers in self.sites.callers.items()},
            stepped_aside=log.stepped_aside,
        )

    def _check_reachable(self) -> None:
        """Which of the modules seen hang on an outermost module that ran."""
        keys = self.log.keys
        held: set[int] = set()
        for key in self.log.roots:
            root = keys.references[key]()
            if root is not None:
                held.update(id(module) for module in root.modules())
        for key, facts in keys.modules.items():
            module = keys.references[key]()
            facts.is_reachable = module is not None and id(module) in held

    def _plain_tensors(self) -> tuple[PlainTensor, ...]:
        """Trainable tensors on plain attributes of the models that ran and are still there."""
        roots = [self.log.keys.references[key]() for key in sorted(self.log.roots)]
        return plain_tensors([root for root in roots if root is not None], self.recorder.known_value)

    def _count(self) -> None:
        """After each backward pass, see whether it is enough."""
        log = self.log
        if log.stepped_aside:
            return
        if self._steps is not None and len(log.backwards) >= self._steps:
            self._step_aside(f"after {self._steps} backward passes")
        elif len(self.recorder.operations.name) > OPERATIONS_KEPT:
            self._step_aside(f"after {OPERATIONS_KEPT:,} operations")

    def _step_aside(self, reason: str) -> None:
        self.log.stepped_aside = reason
        self.recorder.suspended += 1


def _place_of(traceback: TracebackType | None) -> SourceSpan | None:
    """The innermost line of the program's own code; else of any code that is not torch's."""
    own: SourceSpan | None = None
    other: SourceSpan | None = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_installed(code.co_filename) and not code.co_filename.startswith("<frozen"):
            own = span_of(code, traceback.tb_lasti)
        elif not is_machinery(code.co_filename):
            other = span_of(code, traceback.tb_lasti)
        traceback = traceback.tb_next
    return own or other
