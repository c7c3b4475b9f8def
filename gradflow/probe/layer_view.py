"""What the code above a layer says about it, and the answer that is made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gradflow.location import SourceSpan
from gradflow.probe.usage import Usage, UsageSite
from gradflow.source.guard import Guard

__all__ = ["LayerView", "NotCalled", "decisive_guard", "short_text", "written_path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCalled:
    """The reason why a layer did not run, or not as a module.

    Attributes
    ----------
    kind
        ``"layer-not-called"``, or ``"functional-bypass"`` where its weights or settings are used without calling it,
        ``"wrong-module-instance"`` where a copy of it ran.
    location, label
        The line to look at and a short text for under its carets; ``None`` where no code could be found.
    note
        The evidence: what is known and what is only inferred; one or two sentences.
    help
        The change to make.
    subject
        The module that never ran: the layer itself, or the outermost module around it that never ran.
    is_called_somewhere
        ``False`` where no code was found that calls the layer or uses its weights.
    is_named_nowhere
        ``True`` where no code of the model that could be read so much as names the layer: no earlier run has called it.
    is_run_past_hooks
        ``True`` where its very ``forward`` is called: calling the layer itself would do the same, and run the hooks.
    """

    kind: Literal["layer-not-called", "functional-bypass", "compiled-hooks", "wrong-module-instance"]
    location: SourceSpan | None
    label: str
    note: str
    help: str
    subject: str
    is_called_somewhere: bool = True
    is_named_nowhere: bool = False
    is_run_past_hooks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """What one class above the layer says about it.

    ``parent`` is the qualified name of the module of that class, ``path`` leads from there to the layer.
    """

    parent: str
    cls: type
    path: str
    usage: Usage

    def calls(self) -> list[UsageSite]:
        """Places that would have run the layer, those in methods that ``forward`` leads to first."""
        sites = [*self.usage.calls, *self.usage.container_calls]
        return sorted(sites, key=lambda site: not site.reached)


def decisive_guard(guards: Sequence[Guard]) -> tuple[Guard, bool]:
    """The condition that kept the code from running, and whether the recorded lines prove it."""
    for guard in guards:
        if guard.evidence == "avoided":
            return guard, True
    open_guards = [guard for guard in guards if guard.evidence != "entered"]
    if not open_guards:
        return guards[-1], False
    return open_guards[0], len(open_guards) == 1 and open_guards[0].evidence == "none"


def written_path(path: str) -> str:
    """A path as code writes it: ``layers.3.attn`` is ``self.layers[3].attn``."""
    return "self" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))


def short_text(text: str, length: int = 60) -> str:
    """Source text that fits into a sentence: the arguments of a long call are left out."""
    if len(text) <= length:
        return text
    return text[: text.index("(") + 1] + "...)" if "(" in text[:length] else text[: length - 3] + "..."
