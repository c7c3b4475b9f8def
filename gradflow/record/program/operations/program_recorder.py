"""The recorder of a whole program: the one of a run, and who looks besides at what only programs do."""

from __future__ import annotations

import torch

from gradflow.location import SiteTable
from gradflow.record.program.asked.reads import GradReads
from gradflow.record.program.log import Log
from gradflow.record.program.operations.flags import watch_flags
from gradflow.record.program.operations.gradients import watch_gradients
from gradflow.record.program.operations.inner_reads import InnerReads
from gradflow.record.program.operations.leaves import HANDED_THROUGH, MadeParameters, UpdatedFromOutside
from gradflow.record.program.operations.numbers_followed import follow_numbers
from gradflow.record.program.operations.precision import watch_precision
from gradflow.record.recorder import Recorder

__all__ = ["program_recorder"]


def program_recorder(sites: SiteTable, log: Log) -> Recorder:
    """A recorder that writes what a program does with its leaves, flags, gradients and numbers to ``log``."""
    recorder = Recorder(sites, is_guest=True)
    tables = recorder.tables
    for function in (torch.autograd.grad, torch.Tensor.backward):
        recorder.pass_through(function)
    tables.on_stop.append(tables.forget_all)
    tables.leaf_rule = UpdatedFromOutside()
    recorder.results.handed_through = HANDED_THROUGH
    MadeParameters(tables, log).watch(recorder.results)
    watch_flags(recorder, log)
    watch_gradients(recorder, log, GradReads(log, sites, tables))
    watch_precision(recorder, log)
    follow_numbers(recorder, log.numbers)
    inner_reads = InnerReads(tables, log)
    recorder.unrecorded.append(inner_reads.note)
    recorder.announced.observers.append(inner_reads)
    return recorder
