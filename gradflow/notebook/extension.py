"""``%load_ext gradflow``; importing this imports neither IPython nor torch."""

from __future__ import annotations

from typing import Any

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """Make ``%%gradflow`` and ``%gradflow`` known to a running IPython."""
    from gradflow.notebook.magics import GradflowMagics

    shell.register_magics(GradflowMagics)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again, and stop explaining exceptions."""
    from gradflow.notebook.magics import GradflowMagics

    magics = shell.magics_manager.registry.pop(GradflowMagics.__name__, None)
    if magics is not None:
        magics.explain_errors(on=False)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("gradflow", None)
