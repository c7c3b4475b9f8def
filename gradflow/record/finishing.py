"""A finished recording, from all that was noted on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradflow.record.recorder import Recorder
from gradflow.recording import ModuleCalls, Recording
from gradflow.recording.frozen import frozen

__all__ = ["recording_of"]


def recording_of(
    recorder: Recorder,
    *,
    score: int,
    layer_values: dict[str, tuple[int, ...]],
    initially_enabled: bool,
    callers: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    called_from: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    goes_on: bool = False,
) -> Recording:
    """Everything recorded so far; the parameters are those of :class:`Recording`.

    A recorder that ``goes_on`` keeps its columns, and the recording gets copies; else it hands them over.
    """
    tables, marks, elsewhere = recorder.tables, recorder.marks, recorder.elsewhere
    tables.complete_shapes()
    return Recording(
        operations=tables.operations.copy() if goes_on else tables.operations,
        values=tables.values.copy() if goes_on else tables.values,
        names=tables.names,
        dtypes=tables.dtypes,
        spans=recorder.sites.spans(),
        lines=recorder.sites.lines(),
        calls=ModuleCalls(tables.calls),
        leaf_names=frozen(tables.leaf_names),
        hook_operations=frozenset(marks.in_hooks),
        library_operations=frozenset(marks.of_library),
        outdated_operations=frozenset(marks.outdated),
        view_operations=frozenset(recorder.results.view_operations),
        checkpoint_operations=frozenset(marks.checkpoints),
        hooked=frozenset(elsewhere.hooked),
        has_hooks=elsewhere.has_hooks,
        completeness=elsewhere.completeness(),
        met_in_model=elsewhere.met_in_model,
        score=score,
        layer_values=frozen(layer_values),
        initially_enabled=initially_enabled,
        callers=frozen({site: tuple(lines) for site, lines in (callers or {}).items()}),
        called_from=frozen({site: tuple(lines) for site, lines in (called_from or {}).items()}),
    )
