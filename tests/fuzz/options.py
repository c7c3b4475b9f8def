"""Command lines with mutated values."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.nasty import any_number, any_text
from tests.fuzz.of_bytes import mutate_text

__all__ = ["any_options"]

_USUAL = {
    "--slice": ("[:, 1:]", "[0]", "[..., -1]", "[:, ::2]", "[0, None]", "[:,[0,1]]"),
    "--input-shape": ("2,5", "1,5:float64", "1,3,12,12", "1,16:int64", "2, 5", "(2,5)"),
    "--target": ("1", "top1", "-1", "cat", "0,1"),
    "--layer": ("a", "*", "b", "auto", "[ab]", "?", "a.b"),
    "--param": ("a.weight", "*", "b.bias"),
    "--select": ("logits", "0", "out.0", "0.1", "[0]"),
    "--seed": ("0", "3"),
    "--dtype": ("float32", "float64", "bfloat16", "complex64"),
    "--device": ("cpu", "cpu:0", "meta"),
    "--score": ("net.py:score", "net.py:Net"),
    "--weights": ("none", "DEFAULT"),
    "--model-arg": ("a=1", "x=[1,2]", "n=None"),
    "--input": ("net.py:Net", "net.py:torch.ones", "x.pt"),
    "--image": ("net.py", "p.png"),
    "--format": ("text", "json"),
}
_MODELS = (
    "net.py:Net",
    "net.py:Picture",
    "net.py:Cut",
    "net:Net",
    "resnet",
    "net.py",
    "timm:x",
    "torchvision:x",
    "m.pt",
)


def any_options(random: Random) -> Sequence[str]:
    verb = "check" if random.random() < 0.85 else random.choice(("audit", "layers", "explain", "render"))
    model = random.choice(_MODELS) if random.random() < 0.2 else "net.py:Net"
    argv = [verb, _argument(mutate_text(random, model) if random.random() < 0.1 else model)]
    if random.random() < 0.7:
        argv += ["--input-shape", "2,5"]
    for _ in range(random.choice((1, 1, 2, 3))):
        option = random.choice(list(_USUAL))
        value = mutate_text(random, random.choice(_USUAL[option]))
        if random.random() < 0.2:
            value = random.choice((any_text(random), str(any_number(random))))
        argv += random.choice(([option, _argument(value)], [f"{option}={_argument(value)}"]))
    return argv


def _argument(value: str) -> str:
    """What an operating system can hand over: no null, and no half of a surrogate pair."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()[:20_000]
