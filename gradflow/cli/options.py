"""The options that say what to run: the model, its input, its score and how. Shared by the verbs that run a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gradflow.errors import UsageError
from gradflow.output.sources import named_files

if TYPE_CHECKING:
    from gradflow.load.request import Request

__all__ = [
    "add_input_options",
    "add_model_options",
    "add_run_options",
    "add_score_options",
    "files_read",
    "request_of",
]


def add_model_options(parser: argparse.ArgumentParser, *, otherwise: str = "") -> None:
    """MODEL and how to obtain it; ``otherwise`` says what is run without one, where it may be left out."""
    group = parser.add_argument_group("the model")
    group.add_argument(
        "model",
        metavar="MODEL",
        nargs="?" if otherwise else None,
        help="`resnet50` or `torchvision:NAME`, `timm:NAME`, `train.py:build`, `pkg.module:model`, "
        f"or a file: .pt .pth .ckpt .bin .safetensors .pt2{f' (default: {otherwise})' if otherwise else ''}",
    )
    group.add_argument("--weights", metavar="NAME", help="DEFAULT, none, or a name of torchvision's (default: none)")
    group.add_argument(
        "--model-arg",
        type=_model_argument,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument for the model's factory; repeats",
    )
    group.add_argument("--arch", metavar="REF", help="the model that a file of weights belongs to, written like MODEL")
    group.add_argument(
        "--trust", action="store_true", help="run code inside the model's file to load it; only for files you trust"
    )


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """What goes into the model."""
    group = parser.add_argument_group("its input")
    group.add_argument("--image", metavar="FILE", help="a picture, transformed as the weights want it")
    group.add_argument(
        "--input", action="append", default=[], metavar="SOURCE", help="`x.pt`, `x.npy` or `file.py:factory`; repeats"
    )
    group.add_argument(
        "--input-shape",
        action="append",
        default=[],
        metavar="SHAPE",
        help="random numbers: `1,3,224,224`, `1,16:int64`; repeats (default: inferred)",
    )


def add_score_options(parser: argparse.ArgumentParser) -> None:
    """What scalar is differentiated."""
    group = parser.add_argument_group("its score")
    group.add_argument(
        "--target", metavar="CLASS", help="`281`, `top1` or a class name (default: largest entry of the first sample)"
    )
    group.add_argument("--select", metavar="SELECTOR", help="which part of the model's result: `logits`, `0`, `out.0`")
    group.add_argument("--score", metavar="FILE:FUNCTION", help="your own function from the result to a scalar")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """How it runs."""
    group = parser.add_argument_group("how to run it")
    group.add_argument(
        "--device", metavar="DEVICE", help="`cpu`, `cuda`, `cuda:1`, `mps` (default: where the model is)"
    )
    group.add_argument("--dtype", metavar="DTYPE", help="`float32`, `float64`, `bfloat16` (default: the model's)")
    group.add_argument(
        "--seed", type=_seed, metavar="N", help="seed of random weights, inputs and dropout (default: 0)"
    )
    modes = group.add_mutually_exclusive_group()
    modes.add_argument("--train", action="store_true", help="in train mode (default: the mode the model is in)")
    modes.add_argument("--eval", action="store_true", help="in eval mode")
    group.add_argument("--debug", action="store_true", help="show the traceback when something goes wrong")


def files_read(args: argparse.Namespace) -> Iterator[Path]:
    """The files that are named by the options above, and by ``--loss`` where a verb has it."""
    words = [args.model, args.weights, args.arch, args.image, *args.input, args.score, getattr(args, "loss", None)]
    words += [value for _, value in args.model_arg]  # what a factory does with them is not known: it may read them
    for word in words:
        if word:
            yield from named_files(word)


def request_of(args: argparse.Namespace) -> Request:
    """The options as the loader takes them.

    Raises
    ------
    UsageError
        When options contradict each other or are not well-formed.
    """
    from gradflow.load.request import Request

    for name in ("weights", "arch", "image", "select", "score"):
        if getattr(args, name) == "":  # as with a variable of the shell that is not set
            raise UsageError(f"`--{name}` is empty", hint="give it a value, or leave the option out")
    return Request(
        model=args.model,
        weights=args.weights,
        arch=args.arch,
        model_args=tuple(args.model_arg),
        trust=args.trust,
        image=args.image,
        inputs=tuple(args.input),
        input_shapes=tuple(args.input_shape),
        target=args.target,
        output=args.select,
        score=args.score,
        device=args.device,
        dtype=args.dtype,
        seed=args.seed,
        mode="train" if args.train else "eval" if args.eval else None,
    )


def _model_argument(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"`{text}` is not of the form KEY=VALUE, such as `num_classes=10`")
    return name, value


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number") from None
    if not 0 <= seed < 2**63:
        raise argparse.ArgumentTypeError(f"`{text}` is not between 0 and 2^63 - 1")
    return seed
