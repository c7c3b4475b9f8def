"""The command line: one file per verb. Nothing here imports torch until a verb needs it."""

from gradflow.cli.program import main as main

__all__ = ["main"]
