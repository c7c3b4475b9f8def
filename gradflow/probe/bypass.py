"""Lines that use a layer's weights or settings without calling it, so that no hook of it runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradflow.location import SourceSpan
from gradflow.probe.layer_view import LayerView, NotCalled, decisive_guard
from gradflow.probe.usage import UsageSite, find_usage
from gradflow.source_place import place

__all__ = ["find_bypass", "surely_ran"]


def find_bypass(views: Sequence[LayerView], idle: Collection[str] = ()) -> NotCalled | None:
    """The line that goes around the layer; ``None`` when there is none that ran.

    A line that names one of its ``idle`` parameters does not use it: it may write to it.

    Lines without an operation of their own are not recorded (inside torch, none is). Such a line counts when
    ``forward`` leads to it, no call of the layer competes with it, and no condition can have excluded it; inside torch,
    none that is known to have done so.
    """
    for depth, view in enumerate(views):
        outside_view = view.usage.is_machinery
        ran = _may_have_run if outside_view else surely_ran
        could_run = any(_may_have_run(site) for site in view.calls())
        caller = _caller(views[depth + 1 :], view) if outside_view else None
        for site in view.usage.method_calls:
            if site.reached and (site.executed or (ran(site) and not could_run)):
                return _explain(view, site, caller)
        for site in view.usage.reads:
            if _only_decides(site, view) or (not site.is_argument and site.text.rpartition(".")[2] in idle):
                continue
            is_passed_on = outside_view or (bool(site.callee) and not could_run)
            if site.reached and (site.executed or (is_passed_on and ran(site))):
                return _explain(view, site, caller)
    return None


def _only_decides(read: UsageSite, view: LayerView) -> bool:
    """Whether a place stands in the very condition by which the layer is called, or is not."""
    conditions = (guard.span for site in view.calls() for guard in site.guards)
    return any(_contains(condition, read.span) for condition in conditions)


def _contains(outer: SourceSpan, inner: SourceSpan) -> bool:
    starts, ends = (inner.line, inner.column), (inner.end_line, inner.end_column)
    return (
        outer.path == inner.path and (outer.line, outer.column) <= starts and ends <= (outer.end_line, outer.end_column)
    )


def _may_have_run(site: UsageSite) -> bool:
    return site.reached and not any(guard.evidence == "avoided" for guard in site.guards)


def surely_ran(site: UsageSite) -> bool:
    """Whether ``forward`` leads to a place, and no condition on the way is without a sign of having let it pass."""
    return site.reached and all(guard.evidence == "entered" for guard in site.guards)


def _caller(outer: Sequence[LayerView], inner: LayerView) -> tuple[UsageSite, str] | None:
    """The user's line that runs the module whose code is torch's own, so that a line the user can change is shown."""
    for view in outer:
        if view.usage.is_machinery:
            continue
        path = view.path.removesuffix("." + inner.path)
        usage = find_usage(view.cls, path)
        for site in (*usage.calls, *usage.container_calls) if usage is not None else ():
            if site.reached:
                return site, path
    return None


def _explain(view: LayerView, site: UsageSite, caller: tuple[UsageSite, str] | None) -> NotCalled:
    owner, is_run_past_hooks = f"`{view.parent}`" if view.parent else "the model", False
    if site.text.endswith(")"):
        module, method = site.text[: site.text.index("(")].rsplit(".", 1)
        label = f"calls `.{method}(...)` of `{module}` directly, so its hooks do not run"
        note = "hooks are run by calling the module, not by its methods"
        fix = f"ask for a parameter of it, or hook {owner}, whose code uses it"
        if method == "forward":
            fix, is_run_past_hooks = f"call the module itself: `{site.text.replace('.forward(', '(', 1)}`", True
    elif site.is_argument:
        module = site.text
        label = f"hands `{module}` to `{site.callee}(...)`, which does not call it"
        note = "the module is never called, so its hooks do not run and it has no output"
        fix = f"call the module itself, `{module}(...)`, or hook {owner}"
    else:
        module = site.text.rsplit(".", 1)[0]
        label = f"uses `{site.text}` without calling `{module}`"
        note = f"only `{site.text}` is read, the module is never called, so its hooks do not run and it has no output"
        fix = f"call the module itself, `{module}(...)`, or hook {owner}, whose code uses it"
    skipped = next((call for call in view.calls() if call.reached and call.guards), None)
    if skipped is not None:
        note += f"; line {skipped.span.line} calls it, but {decisive_guard(skipped.guards)[0].outcome}"
        fix = f"let the code take the way that calls it (line {skipped.span.line}), or hook {owner}"
    if not site.executed:
        note += "; inferred from the code, no operation is recorded on that line itself"
    location = site.span
    if caller is not None:
        outer, path = caller
        location = outer.span
        label = f"inside this call, torch {label}"
        note += f" ({place(site.span)})"
        fix = f"hook `{path}` instead: its output contains what the layer does"
    return NotCalled(
        kind="functional-bypass", location=location, label=label, note=note, help=fix, subject="",
        is_run_past_hooks=is_run_past_hooks,
    )  # fmt: skip
