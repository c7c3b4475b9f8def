"""`gradflow layers`: the layers of a model, and which of them suits Grad-CAM."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gradflow.cli.loaded import loaded
from gradflow.cli.options import add_input_options, add_model_options, add_run_options
from gradflow.cli.printing import printing
from gradflow.cli.verb import Subparsers

if TYPE_CHECKING:
    import torch

__all__ = ["Layers"]

_EPILOG = """
examples:

  gradflow layers resnet50
  gradflow layers train.py:build --input-shape 1,3,32,32
  gradflow layers swin_t | grep norm
"""


class Layers:
    """The layers of a model."""

    name = "layers"

    def add_parser(self, subparsers: Subparsers) -> None:
        """Add the verb with its options."""
        parser = subparsers.add_parser(
            self.name,
            usage="gradflow layers MODEL [options]",
            help="list the layers of a model",
            description="Runs a model once and lists its layers: name, class, output shape, role and number of "
            "entries in its parameters. `x2` after a shape: the layer runs twice. Marks the layer that `--layer auto` "
            "takes.",
            epilog=_EPILOG,
        )
        add_model_options(parser)
        add_input_options(parser)
        add_run_options(parser)
        parser.set_defaults(target=None, select=None, score=None)

    def run(self, args: argparse.Namespace) -> int:
        """Print the table."""
        with loaded(args) as (workload, say):
            from gradflow.cli.layer_table import print_layers
            from gradflow.layers.auto import choose_layer
            from gradflow.layers.table import list_layers
            from gradflow.record.layer_pass import run_modules

            say("running the model once")
            seen = run_modules(workload)
            rows = list_layers(workload, seen)
            auto, reason = choose_layer(workload, seen)
            left_out = _not_registered(workload.model)
        with printing():
            print_layers(rows, auto=auto, reason=reason, assumptions=workload.assumptions, left_out=left_out)
        return 0


def _not_registered(model: torch.nn.Module) -> list[str]:
    """Where a model keeps layers that are none of its own to ``nn.Module``."""
    from gradflow.record.modules.unregistered import find_unregistered

    return [
        f"in `self.{holder.attribute}` of {f'`{holder.owner}`' if holder.owner else 'the model'}"
        for holder, _ in find_unregistered(model)
        if holder.is_layers
    ]
