"""Why a layer never ran: the condition that kept it out, the line that goes around it, or that no code calls it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from gradflow.location import SourceSpan
from gradflow.probe.bypass import find_bypass, surely_ran
from gradflow.probe.layer_view import LayerView, NotCalled, decisive_guard, short_text, written_path
from gradflow.probe.never_ran.left_early import left_early
from gradflow.probe.never_ran.named_elsewhere import named_elsewhere, told_names
from gradflow.probe.never_ran.only_read import read_elsewhere, reads_of, what_to_see
from gradflow.probe.usage import UsageSite, find_usage
from gradflow.source.class_source import parse_file, span_of_node
from gradflow.source.guard import Guard

__all__ = ["NotCalled", "explain_not_called", "find_assignment"]

_CONTAINERS = frozenset({"ModuleList", "ModuleDict", "Sequential"})


def explain_not_called(
    owner_classes: Sequence[tuple[str, type, str]],
    executed: frozenset[tuple[str, int]] = frozenset(),
    registered_at: SourceSpan | None = None,
    *,
    ran: Collection[str] | None = None,
    user_files: Iterable[str] = (),
    target_class: type | None = None,
    idle: Collection[str] = (),
) -> NotCalled:
    """Explain from the source code why a layer never ran.

    Parameters
    ----------
    owner_classes
        From the layer's parent up to the model itself: the parent's qualified name (``""`` for the model), its class,
        and the attribute of it that leads towards the layer.
    executed
        (file, line) pairs on which operations were recorded.
    registered_at
        Where the layer was assigned to its parent, if that is known.
    ran
        Qualified names of the modules that ran; without it, everything above the layer is taken to have run.
    user_files
        Files to search for the assignment of the layer where the classes do not assign it themselves.
    target_class
        The layer's own class, if it is known.
    idle
        Names of its parameters of which the record shows that nothing was made use.
    """
    chain, inside = _outermost_that_never_ran(owner_classes, ran)
    parent, _, attribute = chain[0]
    subject = f"{parent}.{attribute}" if parent else attribute
    views = _views(chain, executed)
    own_class = owner_classes[len(owner_classes) - len(chain) - 1][1] if inside else target_class
    can_be_called = own_class is None or _has_forward(own_class)
    found = (
        find_bypass(views, idle)
        or left_early(views)
        or _condition(views, runs_others=_runs_others(chain[0], ran))
        or _selection(views)
        or _no_call(views, chain, registered_at, user_files, ran=ran, can_be_called=can_be_called)
    )
    note = f"the layer is inside `{subject}`, which never ran; {found.note}" if inside else found.note
    return replace(found, subject=subject, note=note)


def _is_container(cls: type) -> bool:
    """Whether a class only holds modules, so that its own code says nothing about when they run."""
    for base in cls.__mro__:
        if base.__module__ == "torch.nn.modules.container" and base.__name__ in _CONTAINERS:
            return True
        if "forward" in vars(base):
            return False
    return False


def _has_forward(cls: type) -> bool:
    """Whether a module can be called; a ``ModuleList`` cannot."""
    return any("forward" in vars(base) for base in cls.__mro__ if base.__module__ != "torch.nn.modules.module")


def _outermost_that_never_ran(
    chain: Sequence[tuple[str, type, str]], ran: Collection[str] | None
) -> tuple[Sequence[tuple[str, type, str]], bool]:
    if ran is not None:
        for place in range(len(chain) - 1, 0, -1):
            parent, cls, _ = chain[place - 1]
            if parent not in ran and not _is_container(cls):
                return chain[place:], True
    return chain, False


def _views(chain: Sequence[tuple[str, type, str]], executed: frozenset[tuple[str, int]]) -> list[LayerView]:
    views = []
    path = ""
    only_containers = True
    for parent, cls, attribute in chain:
        path = f"{attribute}.{path}" if path else attribute
        if _is_container(cls):
            continue
        usage = find_usage(cls, path, executed=executed)
        if usage is not None:
            if not only_containers:  # what is called there decides itself whether it calls the layer
                usage = replace(usage, container_calls=())
            views.append(LayerView(parent=parent, cls=cls, path=path, usage=usage))
        only_containers = False
    return views


def _runs_others(holder: tuple[str, type, str], ran: Collection[str] | None) -> bool:
    """Whether the layer is an element of a container of which others ran."""
    parent, cls, _ = holder
    return _is_container(cls) and any(name.startswith(f"{parent}.") for name in ran or ())


def _condition(views: Sequence[LayerView], *, runs_others: bool) -> NotCalled | None:
    for view in views:
        sites = [site for site in view.calls() if site.reached] or _would_use(view)
        if runs_others:  # with another index: the loop has begun, and its condition is false only at its end
            sites = [_without_loop_conditions(site) for site in sites]
        guarded = [site for site in sites if site.guards]
        if not guarded or len(guarded) < len(sites):
            continue
        site = guarded[0]
        guard, is_sure = decisive_guard(site.guards)
        is_handed = site in view.usage.handed
        # what becomes of it elsewhere is not known; a loop that was left may explain it as well
        is_sure = is_sure and not is_handed and (guard.evidence == "avoided" or not site.exits)
        outcome = guard.told(holds=not guard.runs_when, is_sure=is_sure)
        text = f"{site.callee}(...)" if site.is_argument else short_text(site.text)
        result = "is not handed on" if is_handed else "did not run"
        if guard in site.choices and not is_handed:
            result = "is given something else" if site.is_argument else "calls something else"
        more = f"; {len(guarded) - 1} other call(s) of it did not run either" if len(guarded) > 1 else ""
        if is_handed:
            evidence = f"inferred from the code: no call of `{text}` was seen, and this decides who gets it"
        else:
            evidence = _evidence(site, guard, is_sure=is_sure) + more
        return NotCalled(
            kind="layer-not-called",
            location=guard.span,
            label=f"{outcome} in this run, so `{text}` on line {site.span.line} {result}",
            note=evidence,
            help=_change(guard),
            subject="",
        )
    return None


def _without_loop_conditions(site: UsageSite) -> UsageSite:
    if site.part_span is None or site.is_slice:
        return site
    guards = tuple(guard for guard in site.guards if guard.kind != "while")
    # where the loop has run, so has what stands around it: the index alone is left
    return replace(site, guards=guards if any(guard.evidence != "entered" for guard in guards) else ())


def _evidence(site: UsageSite, guard: Guard, *, is_sure: bool) -> str:
    """How it is known that this condition kept a place from calling the layer."""
    text = f"{site.callee}(...)" if site.is_argument else site.text
    if guard.evidence == "avoided":
        return "operations were recorded on the other way, none on the way that calls the layer"
    if is_sure and guard in site.choices:
        return f"nothing else in the code decides what `{text}` {'is given' if site.is_argument else 'calls'}"
    if is_sure:
        return f"nothing else in the code decides whether `{text}` runs, and no operation of it was recorded"
    if site.exits:
        lines = ", ".join(dict.fromkeys(str(each.span.line) for each in site.exits))
        return f"inferred from the code: what leaves the loop (line {lines}) may explain it as well"
    open_guards = [each for each in site.guards if each.evidence != "entered"]
    if len(open_guards) > 1:
        others = ", ".join(f"`{each.text}` (line {each.span.line})" for each in open_guards[1:])
        return f"inferred from the code: the recorded lines do not tell this condition from {others}"
    where = "in another turn of the loop or in another call" if site.is_in_loop else "in another call"
    return f"inferred from the code: what this condition leads to ran {where}, so the recorded lines do not prove it"


def _would_use(view: LayerView) -> list[UsageSite]:
    """Where no code is seen to call the layer: what would hand it on, or call a method of it."""
    handed_on = (site for site in view.usage.reads if site.is_argument)
    sites = [*view.usage.method_calls, *handed_on, *view.usage.handed]
    return [site for site in sites if site.reached and not surely_ran(site)]


def _change(guard: Guard) -> str:
    if guard.text in ("self.training", "not self.training"):
        wants_training = (guard.text == "self.training") == guard.runs_when
        return f"the layer runs only in {'training' if wants_training else 'evaluation'} mode: " + (
            "call `model.train()` first" if wants_training else "call `model.eval()` first"
        )
    return f"{guard.wish(holds=guard.runs_when)} for this model, or choose a layer that runs"


def _selection(views: Sequence[LayerView]) -> NotCalled | None:
    """The layer is one of several, and the code picked others; or its call stands there and yet it did not run."""
    for view in views:
        sites = [site for site in view.calls() if site.reached]
        if not sites:
            continue
        site = next((each for each in sites if each.part_span is not None), sites[0])
        index = next((part for part in reversed(view.path.split(".")) if part.isdigit()), view.path)
        if site.part_span is not None and site.is_slice:
            label = f"`{site.part}` leaves out element {index}, so it is not called"
            note = "inferred from the code: the slice is the only thing between the list and the call"
            fix = f"iterate over all elements, or choose a layer inside `{site.part}`"
        elif site.part_span is not None and site.is_counted:
            label = f"`{site.part}` does not come to element {index}, so it is not called"
            note = "inferred from the code: nothing but this loop decides which elements run"
            fix = "let the loop reach this element, or choose a layer that it reaches"
        elif site.part_span is not None and site.is_fixed and site.executed:
            label = f"`{site.part}` is another element than {index}"
            note = "inferred from the code: the index is written there, so it picks the same element in every run"
            fix = f"call `{written_path(view.path)}(...)` in `forward`, or choose a layer that runs"
        elif site.part_span is not None:
            label = f"`{site.part}` did not pick element {index} in this run"
            note = "inferred from the code: the index is computed, and what it was is not recorded"
            if any(guard.kind == "while" for guard in site.guards):
                note += ", and the loop may end before it comes to this one"
            fix = f"see which elements `{site.part}` can pick, or choose a layer that runs"
        else:
            label = f"`{short_text(site.text)}` would run it, but did not in this run"
            note = (
                "not determined why: no condition in the code decides it; the attribute may hold another module by then"
            )
            fix = "check which module this attribute holds when the model runs"
            if site.is_in_loop:
                note += ", or the loop may end before it comes to this one"
                fix = "look at what the loop goes over when the model runs, or choose a layer that runs"
        return NotCalled(
            kind="layer-not-called", location=site.part_span or site.span, label=label, note=note, help=fix, subject=""
        )
    return None


def _no_call(
    views: Sequence[LayerView],
    chain: Sequence[tuple[str, type, str]],
    registered_at: SourceSpan | None,
    user_files: Iterable[str],
    *,
    ran: Collection[str] | None,
    can_be_called: bool,
) -> NotCalled:
    attribute = chain[0][2]
    assigned = registered_at or next((site.span for view in views for site in view.usage.assignments), None)
    named = next((name for _, _, name in chain if not name.isdigit()), attribute)  # `layers` of `layers.3`
    assigned = assigned or find_assignment(user_files, named)
    if not views:
        note, fix = _without_code(chain, ran)
        return NotCalled(
            kind="layer-not-called", location=assigned, subject="", note=note, help=fix,
            label="assigned here; it never ran" if assigned else "",
        )  # fmt: skip
    view = views[0]
    written = written_path(view.path)
    unreached = next((site for each in views for site in each.calls()), None)
    reads = reads_of(views)
    named_at = () if reads else named_elsewhere(view)
    note = read_elsewhere(reads, written) or told_names(named_at, view.cls, written)
    called = f"call `{written}(...)`" if can_be_called else f"use what `{written}` holds"
    fix = f"{called} in `forward`, or remove it"
    if reads and can_be_called:
        fix = what_to_see(reads)
    if unreached is not None:
        note = (
            f"`{short_text(unreached.text)}` stands only in `{unreached.span.function}`, which `forward` does not call"
        )
    elif named_at:
        fix = f"see whether line {named_at[0].line} means this layer, and when it runs"
    elif not reads and not view.usage.assignments and view.usage.other_calls:
        last = view.usage.other_calls[-1]
        note += f"; its `forward` calls `self.{last}` last"
        fix = f"if it is meant to replace `{last}`, assign it to that name, which `forward` calls"
    return NotCalled(
        kind="layer-not-called", location=assigned, subject="", note=note, help=fix,
        label="assigned here; it never ran" if assigned else "", is_called_somewhere=False,
        is_named_nowhere=not (unreached or reads or named_at),
    )  # fmt: skip


def _without_code(chain: Sequence[tuple[str, type, str]], ran: Collection[str] | None) -> tuple[str, str]:
    """What is known where no code above the layer says anything, and what to do."""
    unread = next((cls for _, cls, _ in chain if not _is_container(cls)), None)
    parent, holder, _ = chain[0]
    if unread is not None:
        note = f"the source code of `{unread.__qualname__}` could not be read, so nothing more is known"
        return note, "call the layer in the model's `forward`, or choose a layer that runs"
    if _has_forward(holder) and parent in (ran or ()):
        note = f"`{holder.__qualname__}` calls all that it holds, so it did not hold this one when it was called"
        return note, "add it before the model is called, or choose a layer that runs"
    note = f"`{holder.__qualname__}` only holds it: code that takes it out of there would call it, and none did"
    return note, "call it, or choose a layer that runs"


def find_assignment(files: Iterable[str], attribute: str) -> SourceSpan | None:
    """The first place in some files where an attribute of this name is set, as by ``net.fc = nn.Linear(8, 2)``."""
    for path in files:
        tree = parse_file(path)
        for node in ast.walk(tree) if tree is not None else ():
            match node:
                case ast.Assign(targets=[ast.Attribute(attr=name)]) if name == attribute:
                    return span_of_node(path, node)
                case (
                    ast.Call(
                        func=ast.Attribute(attr="add_module" | "register_module"),
                        args=[ast.Constant(value=name), _],
                    )
                    | ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value=name), _])
                ) if name == attribute:
                    return span_of_node(path, node)
    return None
