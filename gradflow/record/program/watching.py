"""Puts all observers on a program, takes them off again, and gathers what they saw."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType, ModuleType

import torch

from gradflow.load.module_tree import modules_in, parameters_in
from gradflow.location import lines_near
from gradflow.program_warnings import warnings_as_without_gradflow
from gradflow.record.calls.applications import Application
from gradflow.record.conduct.their_exceptions import attribute_of, text_of, traceback_of
from gradflow.record.failure import innermost_place, way_of
from gradflow.record.finishing import recording_of
from gradflow.record.modules.following import ModuleFollower
from gradflow.record.patches import OwnNames, watched
from gradflow.record.program.backward_calls import BackwardCalls
from gradflow.record.program.exceptions.caught import Undecided
from gradflow.record.program.functions.returns import last_returns
from gradflow.record.program.gaps import gaps_in
from gradflow.record.program.hooks.registrations import HookWatch
from gradflow.record.program.log import Log
from gradflow.record.program.modules.construction import Construction
from gradflow.record.program.modules.plain_tensors import PlainTensors
from gradflow.record.program.modules.program_calls import follow_calls
from gradflow.record.program.operations.applied import Applied
from gradflow.record.program.operations.flags import with_switches
from gradflow.record.program.operations.program_recorder import program_recorder
from gradflow.record.program.optimizers import OptimizerWatch
from gradflow.record.program.other_processes import note_shared_leaves, processes_noted
from gradflow.record.program.own_files import own_files
from gradflow.record.program.special_calls.compiled import CompiledCalls
from gradflow.record.program.special_calls.scripted import ScriptedCalls
from gradflow.record.program.special_calls.swapped_tensors import SwappedTensors
from gradflow.record.program.special_calls.traced import TracedCalls
from gradflow.record.program.special_calls.unobserved import unobserved
from gradflow.record.program_sites import ProgramSites
from gradflow.recording.frozen import frozen
from gradflow.recording.program.events import Failure, WatchedModule
from gradflow.recording.program.recording import ProgramRecording
from gradflow.source.custom_backward import function_spans
from gradflow.torch_facts.function_modes import is_on_stack, take_off

__all__ = ["OPERATIONS_KEPT", "Watch"]

OPERATIONS_KEPT = 200_000
"""After so many operations gradflow steps aside at the next forward pass, and the program runs on at its own speed."""

PASSES_KEPT = 20_000
"""The same for backward passes, of which a program may make many over one graph."""


class Watch:
    """Observes everything that runs inside :meth:`watching`, in the thread that entered it.

    Parameters
    ----------
    steps
        Step aside when the first forward or backward pass after so many backward passes begins; ``None`` for no such
        bound.
    """

    def __init__(self, *, steps: int | None = None) -> None:
        self.log = Log()
        self.sites = ProgramSites()
        self.recorder = program_recorder(self.sites, self.log)
        self._applied = Applied(self.recorder.tables)
        self.recorder.announced.observers.append(self._applied)
        self.sites.follow(self.recorder.operations.name)
        self._plain_tensors = PlainTensors(self.recorder, self.log)
        self._steps = steps
        self._enough = ""
        self._initially_enabled = torch.is_grad_enabled()
        self._stack = contextlib.ExitStack()
        self.program: ModuleType | None = None
        self._calls: ModuleFollower | None = None
        self._undecided = Undecided()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Observe; torch is as it was afterwards, whatever happens inside."""
        recorder, log = self.recorder, self.log
        recorder.tables.thread = threading.get_ident()
        recorder.recorded.bound(OPERATIONS_KEPT * 5 // 4, self._stop_recording)
        self._calls = calls = follow_calls(recorder, log, self._before_pass)
        backwards = BackwardCalls(recorder, log, before=self._before_pass, after=self._count)
        self._undecided = backwards.undecided
        hooks = HookWatch(recorder, log)
        optimizers = OptimizerWatch(recorder, log, before_step=self._plain_tensors.look)
        plainly = functools.partial(unobserved, recorder, calls, hooks.plain)
        compiled = CompiledCalls(recorder, log, calls, plainly, hooks.may_run)
        put_tables_back = recorder.aside.looking(hooks.put_tables_back)
        _ACTIVE.add(self)
        observer, own = recorder.aside.observer, OwnNames()
        # stays on to the very end: what refers to tensors weakly does so, too
        swapped = SwappedTensors(recorder, (backwards.forget, hooks.forget, optimizers.forget))
        with observer(functools.partial(swapped.watching, own)), self._stack:
            for watching in (
                warnings_as_without_gradflow,
                functools.partial(watched, recorder, own=own),
                calls.watching,
                functools.partial(backwards.watching, own),
                hooks.watching,
                Construction(recorder, log).watching,
                optimizers.watching,
                functools.partial(processes_noted, recorder.aside, log, self._note_shared_leaves),
                functools.partial(compiled.watching, own),
                ScriptedCalls(recorder, log).watching,
                TracedCalls(recorder, log, plainly).watching,
                self._recording,
            ):
                self._stack.enter_context(observer(watching))
            try:
                yield
            finally:
                _ACTIVE.discard(self)
                recorder.suspended += 1
                put_tables_back()
        recorder.aside.release()

    def _note_shared_leaves(self) -> None:
        self.recorder.aside.looking(note_shared_leaves)(self.recorder.tables, self.log)

    @contextlib.contextmanager
    def _recording(self) -> Iterator[None]:
        """The recorder on torch's stack of function modes; taken from where it is then, not from the top."""
        self.recorder.__enter__()
        try:
            yield
        finally:
            take_off(self.recorder)

    def _count(self) -> None:
        """After each backward pass, see whether it is enough: what the program does with the gradients still counts."""
        passes = len(self.log.backwards)
        if self._steps is not None and passes >= self._steps:
            self._enough = f"after {passes} backward pass{'es' * (passes != 1)}"
        elif len(self.recorder.operations.name) > OPERATIONS_KEPT or passes >= PASSES_KEPT:
            self._enough = f"after {len(self.recorder.operations.name):,} operations and {passes:,} backward passes"

    def _before_pass(self) -> None:
        """A forward or backward pass begins, and torch is not just asking the recorder: the moment to leave."""
        frame = sys._getframe(1)
        if self._calls is not None:
            self._calls.look_again(frame)
        if self.recorder.look_again is not None:
            self.recorder.look_again(frame)
        if self._enough and not self.log.stepped_aside:
            self.log.stepped_aside = self._enough
        # torch puts back the mode that it has put aside for the moment: then a later pass is the occasion
        if (self.log.stepped_aside or self.recorder.aside.failure) and is_on_stack(self.recorder):
            self.leave()

    def _stop_recording(self) -> None:
        """No pass came to an end for a long time: record nothing more, and leave at the next occasion."""
        self.log.stepped_aside = f"after {len(self.recorder.operations.name):,} operations"
        self.recorder.suspended += 1
        self.recorder.call = -1

    def leave(self) -> None:
        """Take all observers off at once; only hooks that the program registered stay where it wants them."""
        self.recorder.suspended += 1
        self._stack.close()

    def end(self) -> None:
        """The program ends on the spot, from within: nothing more is to be seen."""
        _ACTIVE.discard(self)
        take_off(self.recorder)
        self.leave()

    def note_end(self, *, ended_by: BaseException | None = None, block: FrameType | None = None) -> None:
        """The program, or the watched block in this frame, has ended, of itself or by an exception."""
        self.recorder.aside.looking(self._undecided.decide)(ended_by, block)

    def note_failure(self, error: BaseException, *, is_last: bool = True) -> None:
        """An exception ended the program."""
        self.recorder.aside.looking(self._note_failure)(error, is_last=is_last)

    def _note_failure(self, error: BaseException, *, is_last: bool) -> None:
        keys = self.log.keys
        module = attribute_of(error, AttributeError, "obj")
        is_module = issubclass(type(module), torch.nn.Module)
        name = attribute_of(error, AttributeError, "name")
        trace = traceback_of(error)
        way = way_of(trace)
        self.log.failures.append(
            Failure(
                type_name=type(error).__name__,
                message=" ".join(text_of(error).split()),
                span=way[0] if way else innermost_place(trace),
                callers=way[1:],
                operation=len(self.recorder.operations.name),
                is_last=is_last,
                attribute=name if type(name) is str else "",
                module=keys.key_of(module) if is_module else -1,
            )
        )

    @property
    def applications(self) -> tuple[Application, ...]:
        """The first applications of the program's own Functions that are harmless to call again, with copies."""
        return tuple(self._applied.keeper.kept)

    def seen(self) -> ProgramRecording:
        """What was seen, as plain data."""
        log, recorder = self.log, self.recorder
        note_shared_leaves(recorder.tables, log)
        self._name_early_calls()
        recording = recording_of(
            recorder,
            score=-1,
            layer_values={},
            initially_enabled=self._initially_enabled,
            callers=self.sites.callers,
            called_from=self.sites.called_from,
            goes_on=self in _ACTIVE,
        )
        recording = with_switches(recording, log.flags)
        used_elsewhere = set[int]()
        # before the gaps: one of them is that this failed
        recorder.aside.looking(self._add_used_elsewhere)(used_elsewhere)
        gaps = (*gaps_in(log, recorder, recording), *recording.completeness.gaps)
        completeness = replace(recording.completeness, gaps=gaps)
        recording = replace(recording, completeness=completeness)
        of_the_log = log.so_far()
        of_the_log["call_modules"] = of_the_log["call_modules"][: len(recording.calls)]
        seen = ProgramRecording(
            **of_the_log,
            recording=recording,
            modules=frozen(self._modules()),
            function_spans=frozen(function_spans(recorder.functions)),
            backward_returns=frozen(last_returns(recorder.functions)),
            returned=frozen(log.numbers.all_returned(lambda: recording.readers, log.gradient_of)),
            left_partly=frozenset(log.numbers.partly),
            plain_tensors=self._plain_tensors.now(),
            used_elsewhere=frozenset(used_elsewhere),
            files=own_files((span.path for span in recording.spans), self.program),
        )
        lines = lines_near((*recording.spans, *seen.places()))
        return replace(seen, recording=replace(recording, lines=lines))

    def _add_used_elsewhere(self, found: set[int]) -> None:
        """The parameters of the modules that other threads have called, as far as they are still there."""
        modules = [module for reference in self.log.called_elsewhere.values() if (module := reference()) is not None]
        parameters = [parameter for module in modules for parameter in parameters_in(module)]
        found.update(set(map(self.recorder.known_value, parameters)) - {-1})

    def _name_early_calls(self) -> None:
        """A part of a model that ran before the model itself was not known to be one: it has its name since."""
        # where gradflow stepped aside as a call began, its module is noted and the call is not
        names = self.recorder.calls.module
        for number, (name, key) in enumerate(zip(names, self.log.call_modules, strict=False)):
            if not name or name.startswith("("):
                names[number] = self.log.keys.modules[key].name or name

    def _modules(self) -> dict[int, WatchedModule]:
        """The modules as they are now: which of them hang on an outermost module that ran."""
        keys = self.log.keys
        held: set[int] = set()
        replaced = {replacement.module for replacement in self.log.replacements}
        for key in self.log.roots:
            root = keys.references[key]()
            if root is not None:
                held.update(map(id, modules_in(root)))
        found = {}
        for key, facts in keys.modules.items():
            module = keys.references[key]()
            # gone by now, as what a function held: it was part of a model that ran, unless another took its place
            is_reachable = facts.root >= 0 and key not in replaced if module is None else id(module) in held
            found[key] = replace(facts, is_reachable=is_reachable)
        return found


_ACTIVE: weakref.WeakSet[Watch] = weakref.WeakSet()


def _leave_in_child() -> None:
    """A forked process, such as a ``DataLoader`` worker, has nobody to report to."""
    for watch in list(_ACTIVE):
        watch.log.stepped_aside = "in a forked process"
        watch.leave()


def _count_fork() -> None:
    for watch in list(_ACTIVE):
        watch.log.fork_count += 1
        watch._note_shared_leaves()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_in_child, after_in_parent=_count_fork)
