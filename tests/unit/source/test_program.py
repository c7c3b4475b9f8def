"""Values that are followed through the functions, objects and files of a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.location import SourceSpan
from gradflow.source.program.walk import labels_that_reach, product_in_program

G, A = "layer.weight.grad", "activation.numpy()"


def write(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return [str(folder / f"{name}.py") for name in files]


def place(files: list[str], text: str) -> SourceSpan:
    for path in files:
        for number, line in enumerate(Path(path).read_text().splitlines(), 1):
            if text in line:
                column = line.index(text) + 1
                end = column + len(text)
                return SourceSpan(path=path, line=number, column=column, end_line=number, end_column=end)
    raise AssertionError(text)


def product_line(files: list[str]) -> int | None:
    found = product_in_program(files, place(files, G), place(files, A))
    return found.line if found is not None else None


FOUND = {
    "returned by functions": f"""
def one(layer): return {G}.numpy()
def two(activation): return {A}
def three(g, a): return g.mean() * a  # here
three(one(x), two(y))
""",
    "kept on a class": f"""
class Kept: pass
Kept.g = {G}.numpy()
Kept.a = {A}
Kept.w = Kept.g.mean()
cam = Kept.w * Kept.a  # here
""",
    "kept by an object": f"""
class Cam:
    def take(self, layer): self.g = {G}.numpy()
    def keep(self, activation): self.a = {A}
    def map(self): return self.g * self.a  # here
cam = Cam()
cam.take(layer)
cam.keep(activation)
cam.map()
""",
    "kept by a hook": f"""
kept = []
def hook(module, inputs, activation): kept.append({A})
layer.register_forward_hook(hook)
cam = {G}.numpy() * kept[0]  # here
""",
    "in a tuple, with a keyword": f"""
def both(): return {G}.numpy(), {A}
def cam(*, maps, weights): return maps * weights  # here
g, a = both()
cam(weights=g, maps=a)
""",
    "in a function of a script": f"""
def main():
    global g
    g = {G}.numpy()
    rest()
def rest():
    a = {A}
    for part in a:
        print(g * part)  # here
if __name__ == "__main__":
    main()
""",
    "in a class with __call__": f"""
class Weigh:
    def __init__(self, g): self.g = g
    def __call__(self, a): return self.g * a  # here
weigh = Weigh({G}.numpy())
weigh({A})
""",
    "one branch of two": f"""
g = {G}.numpy()
if flag:
    a = {A}
else:
    a = None
g * a  # here
""",
}

NOT_FOUND = {
    "an object that also keeps it": f"""
class Trainer: pass
trainer = Trainer()
trainer.seen = {G}.numpy()
cam = step(trainer) * {A}
""",
    "attributes of two objects": f"""
class Kept:
    def __init__(self, a): self.a = a
one, two = Kept({G}.numpy()), Kept(3)
activation_kept = {A}
cam = two.a * activation_kept
""",
    "locals of two functions": f"""
def one(layer):
    g = {G}.numpy()
    return g.shape
def two(activation):
    g = correct()
    return g * {A}
one(x)
two(y)
""",
    "only its shape": f"g = {G}.numpy()\na = {A} * g.shape[0]\n",
    "another entry of the tuple": f"""
def both(): return {G}.numpy(), {A}
g, a = both()
print(a * both()[1])
""",
    "replaced on the object": f"""
class Kept: pass
Kept.g = {G}.numpy()
Kept.g = correct()
cam = Kept.g * {A}
""",
    "a product of the program's own": f"""
def dot(one, two): return len(two)
dot({G}.numpy(), {A})
""",
}


@pytest.mark.parametrize("source", FOUND.values(), ids=FOUND)
def test_both_are_followed_to_their_product(tmp_path: Path, source: str) -> None:
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "# here" in text)
    assert product_line(write(tmp_path, program=source)) == line


@pytest.mark.parametrize("source", NOT_FOUND.values(), ids=NOT_FOUND)
def test_near_misses(tmp_path: Path, source: str) -> None:
    assert product_line(write(tmp_path, program=source)) is None


PARTS = f"def leave(layer):\n    return {G}.numpy()\ndef enter(number):\n    return activation.numpy()\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from parts import enter, leave\ntotal = 0.0\nfor i in x:\n    total += leave(i)\nenter(total)\n", {0}),
        ("import parts\nkept = [parts.leave(i) for i in x]\nparts.enter(kept)\n", {0}),
        ("from parts import *\nprint(leave(x))\nenter(1.0)\n", set()),
        ("import other as parts\nparts.enter(parts.leave(x))\n", set()),
    ],
    ids=["added up", "listed", "only printed", "functions of another file"],
)
def test_across_files(tmp_path: Path, source: str, expected: set[int]) -> None:
    files = write(tmp_path, program=source, parts=PARTS.replace("activation.numpy()", "torch.tensor(number)"))
    goal = place(files, "torch.tensor(number)")
    assert labels_that_reach(files, [place(files, G)], [goal]).get(goal, set()) == expected


def test_a_module_within_a_package(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    files = [*write(package, __init__="", parts=PARTS), *write(package, main="from .parts import leave, enter\n")]
    Path(files[2]).write_text("from .parts import leave, enter\ncam = leave(x) * enter(y)\n")
    found = product_in_program(files, place(files, G), place(files, A))
    assert found is not None
    assert (found.path, found.line) == (files[2], 2)


def test_functions_that_call_each_other_without_end(tmp_path: Path) -> None:
    source = f"def f(x): return g(x)\ndef g(x): return f(x)\ncam = f({G}) + {A}\n"
    assert product_line(write(tmp_path, program=source)) is None


def test_a_program_that_is_too_large_is_not_followed(tmp_path: Path) -> None:
    filling = "".join(f"x{number} = a + b + c + d\n" for number in range(20_000))
    assert product_line(write(tmp_path, program=f"{filling}cam = {G} * {A}\n")) is None


def test_of_a_program_that_is_too_large_the_files_of_the_places_are_followed(tmp_path: Path) -> None:
    filling = "".join(f"x{number} = a + b + c + d\n" for number in range(20_000))
    files = write(tmp_path, near=f"cam = {G} * {A}\n", far=filling)
    assert product_line(files) == 1


def test_one_helper_for_both(tmp_path: Path) -> None:
    source = f"""
def to_array(activation): return {A}
g, a = to_array({G}), to_array(maps)
print(g * a)
"""
    assert product_line(write(tmp_path, program=source)) == 4
