"""`gradflow check`: whether a gradient arrives, and if not, which line is to blame."""

from __future__ import annotations

import argparse

from gradflow.cli.formats import FORMATS, PICTURES, report_and_pictures
from gradflow.cli.loaded import loaded
from gradflow.cli.options import (
    add_input_options,
    add_model_options,
    add_run_options,
    add_score_options,
    files_read,
)
from gradflow.cli.outputs import Outputs, add_force_option
from gradflow.cli.parser import one_of, path_with
from gradflow.cli.verb import Subparsers
from gradflow.errors import UsageError
from gradflow.output.named import output_path
from gradflow.report import Report

__all__ = ["Check"]

CAMS = (".png", ".npy")

_DESCRIPTION = """
Runs a model once, follows the gradient of its score back to a layer, and says whether it arrives. Where it does not,
names the line that cuts it, why, and a fix that was tried. The model is left as it was.
"""
_EPILOG = """
examples:

  gradflow check train.py:build --layer backbone.layer4
  gradflow check resnet50 --layer layer4 --svg graph.svg \\
      --weights DEFAULT --image cat.jpg --cam cam.png
  gradflow check swin_t --layer features.7 \\
      --slice "[:, 2:5, 2:5]"
  gradflow check model.pth --arch net.py:Net --layer "c*"
  gradflow check net.py:Net --input-shape 1,16:int64 \\
      --param embed.weight --output report.json

Exit status: 0 every layer is connected, 1 one is not, 2 the request could not be carried out.
"""


class Check:
    """Whether a gradient arrives, and if not, which line is to blame."""

    name = "check"

    def add_parser(self, subparsers: Subparsers) -> None:
        """Add the verb with its options."""
        parser = subparsers.add_parser(
            self.name,
            usage="gradflow check [MODEL] [--layer LAYER] [options]",
            help="check that the gradient of a score reaches a layer",
            description=_DESCRIPTION,
            epilog=_EPILOG,
        )
        add_model_options(parser, otherwise="the models that pyproject.toml declares")
        _add_layer_options(parser)
        add_input_options(parser)
        add_score_options(parser)
        add_run_options(parser)
        _add_output_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Check, show, write; the exit status is the report's, or 1 when a Grad-CAM was refused."""
        if args.model is None:
            from gradflow.cli.declared import check_declared

            return check_declared(args)
        from gradflow.cli.results import present

        format_, output, pictures = report_and_pictures(args.format, args.output, args.svg)
        outputs = _outputs(args)
        return present(
            _report(args),
            outputs,
            format_=format_,
            output=output,
            pictures=pictures,
            cams=args.cam,
        )


def _add_layer_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where the gradient should arrive")
    group.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="LAYER",
        help="a module's name, a glob such as `layer*`, or `auto`: the layer to take for Grad-CAM; repeats "
        "(default: auto)",
    )
    group.add_argument(
        "--param", action="append", default=[], metavar="NAME", help="a parameter instead of an activation; repeats"
    )
    group.add_argument("--slice", default="", metavar="SLICE", help='part of the activation: "[:, 1:]"')
    group.add_argument(
        "--verify",
        action="store_true",
        help="compare the gradient with how the score moves, in float64: five more forward passes, some thirty where "
        "they differ",
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to show")
    group.add_argument(
        "--format", type=one_of(tuple(FORMATS)), metavar="FORMAT", help=f"{', '.join(FORMATS)} (default: text)"
    )
    group.add_argument(
        "--output",
        type=output_path,
        metavar="FILE",
        help="write the report here instead of stdout, in the format that the name ends in, else as text",
    )
    group.add_argument(
        "--svg",
        type=path_with(PICTURES),
        action="append",
        default=[],
        metavar="FILE",
        help="draw the graph: .svg, .dot, .png or .pdf; repeats; of several layers, the first that is not connected",
    )
    group.add_argument(
        "--cam",
        type=path_with(CAMS),
        action="append",
        default=[],
        metavar="FILE",
        help="write the Grad-CAM, if the path is connected: .png overlay or .npy; repeats; of several layers, each "
        "gets a file with its name (in Python: `report.cam.save(FILE)` of a `check(..., cam=True)`)",
    )
    add_force_option(group)


def _outputs(args: argparse.Namespace) -> Outputs:
    """What will be written; raises where it could not be as asked for, before the model runs for nothing."""
    if args.cam and args.param and not args.layer:
        raise UsageError(
            "a Grad-CAM is made of a layer, and only parameters were asked for", hint="add `--layer LAYER`"
        )
    from gradflow.cli.results import map_path

    layers = dict.fromkeys(args.layer)
    has_several = len(layers) + len(args.param) > 1 or any(set("*?[") & set(layer) for layer in layers)
    # which layers a glob stands for shows when the model is there
    cams = [map_path(path, layer) for path in args.cam for layer in layers] if has_several else args.cam
    return Outputs(
        [*([args.output] if args.output else []), *args.svg, *cams], reads=files_read(args), force=args.force
    )


def _report(args: argparse.Namespace) -> Report:
    layers = args.layer or ([] if args.param else ["auto"])
    with loaded(args) as (workload, say):
        from gradflow.checking import check_workload

        return check_workload(
            workload, layers, args.param, slice_=args.slice, cam=bool(args.cam), verify=args.verify, progress=say
        )
