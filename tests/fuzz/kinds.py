"""Which files are mutated how, and which command reads them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tests.fuzz import seeds
from tests.fuzz.case import Case
from tests.fuzz.nasty import any_text, any_value
from tests.fuzz.of_archives import mutate_headers, mutate_records, packed, unpacked
from tests.fuzz.of_bytes import mutate_bytes, mutate_text
from tests.fuzz.of_json import mutate_json_text
from tests.fuzz.of_pickles import mutate_pickle
from tests.fuzz.options import any_options

__all__ = ["KINDS", "make_case"]

Made = tuple[Mapping[str, bytes], Sequence[str]]
_NET = {"net.py": seeds.NET.encode()}
_SHAPES = ("2,5", "2,5", "2,5", "1,5", "2,3,5", "1,3,12,12", "2,5:float64")


def make_case(kind: str, seed: int, number: int) -> Case:
    """Case ``number`` of a kind: the same for the same seed."""
    files, argv = KINDS[kind](Random(f"{kind} {seed} {number}"))
    return Case(kind, number, files, tuple(argv))


def _is_model(data: bytes) -> bool:
    return b"training" in data


def _verb(random: Random, path: str, *, is_model: bool) -> Sequence[str]:
    """A command that reads a file of a model, or of weights for one."""
    shape = ("--input-shape", random.choice(_SHAPES))
    if not is_model and random.random() < 0.7:
        argv = (random.choice(("check", "audit", "layers")), path, "--arch", "net.py:Net", "--input-shape", "2,5")
        return (*argv, "--layer", "*") if argv[0] == "check" else argv
    return random.choice(
        (
            ("check", path, "--layer", "auto", *shape),
            ("check", path, "--layer", "auto", *shape),
            ("check", path, "--layer", "*", *shape, "--format", random.choice(("json", "concise", "markdown"))),
            ("audit", path, *shape),
            ("layers", path, *shape),
            ("check", path, "--layer", "auto"),
            ("check", "net.py:Net", "--layer", "a", "--input", path),
            ("check", path, "--arch", "net.py:Net", "--layer", "a", *shape),
        )
    )


def _pickle(random: Random) -> Made:
    data, other = _two(random, seeds.saved())
    entries = dict(unpacked(data))
    name = next(name for name in entries if name.endswith("/data.pkl"))
    foreign = next(content for one, content in unpacked(other) if one.endswith("/data.pkl"))
    entries[name] = mutate_pickle(random, entries[name], foreign)
    return _NET | {"m.pt": packed(list(entries.items()))}, _verb(random, "m.pt", is_model=_is_model(data))


def _zip(random: Random) -> Made:
    data, other = _two(random, (*seeds.saved(), *seeds.saved(), *seeds.scripted()))
    mutate = random.choice((mutate_headers, mutate_headers, mutate_records, mutate_bytes))
    return _NET | {"m.pt": mutate(random, data, other)}, _verb(random, "m.pt", is_model=_is_model(data))


def _legacy(random: Random) -> Made:
    data, other = _two(random, seeds.legacy())
    if random.random() < 0.4:
        return _NET | {"m.pt": mutate_bytes(random, data, other)}, _verb(random, "m.pt", is_model=False)
    parts = _pickles_of(data)
    at = random.choice((0, 1, 2, 3, 3, 3, 3, 4))
    parts[at] = mutate_pickle(random, parts[at], _pickles_of(other)[3])
    return _NET | {"m.pt": b"".join(parts)}, _verb(random, "m.pt", is_model=False)


def _pickles_of(data: bytes) -> list[bytes]:
    """The five pickles of a file of the old format, and what follows."""
    import io
    import pickletools

    file, found = io.BytesIO(data), []
    for _ in range(5):
        start = file.tell()
        for _ in pickletools.genops(file):
            pass
        found.append(data[start : file.tell()])
    return [*found, data[file.tell() :]]


def _exported(random: Random) -> Made:
    data, other = _two(random, seeds.exported())
    argv = random.choice((("check", "m.pt2", "--layer", "auto"), ("audit", "m.pt2"), ("layers", "m.pt2")))
    if random.random() < 0.15:
        mutate = random.choice((mutate_headers, mutate_records, mutate_bytes))
        return _NET | {"m.pt2": mutate(random, data, other)}, argv
    entries = dict(unpacked(data))
    documents = [name for name in entries if name.endswith(".json")]
    name = random.choice([*(name for name in documents if "models/" in name), *documents, *entries])
    if name in documents:
        entries[name] = mutate_json_text(random, entries[name])
    elif entries[name].startswith(b"PK"):
        inner = dict(unpacked(entries[name]))
        pickled = next(one for one in inner if one.endswith("data.pkl"))
        inner[pickled] = mutate_pickle(random, inner[pickled], inner[pickled])
        entries[name] = packed(list(inner.items()))
    else:
        entries[name] = mutate_bytes(random, entries[name])
    return _NET | {"m.pt2": packed(list(entries.items()))}, argv


def _safetensors(random: Random) -> Made:
    data, other = _two(random, seeds.safetensors_files())
    argv = ("check", "w.safetensors", "--arch", "net.py:Net", "--layer", "a", "--input-shape", "2,5")
    if random.random() < 0.3:
        return _NET | {"w.safetensors": mutate_bytes(random, data, other)}, argv
    length = struct.unpack("<Q", data[:8])[0]
    header = mutate_json_text(random, data[8 : 8 + length])
    return _NET | {"w.safetensors": struct.pack("<Q", len(header)) + header + data[8 + length :]}, argv


def _array(random: Random) -> Made:
    data, other = _two(random, seeds.arrays())
    argv = ("check", "net.py:Net", "--layer", "a", "--input", "x.npy")
    if random.random() < 0.4:
        return _NET | {"x.npy": mutate_bytes(random, data, other)}, argv
    length = struct.unpack("<H", data[8:10])[0]
    header = mutate_text(random, data[10 : 10 + length].decode("latin-1")).encode("utf-8", "surrogatepass")[:65535]
    return _NET | {"x.npy": data[:8] + struct.pack("<H", len(header)) + header + data[10 + length :]}, argv


def _picture(random: Random) -> Made:
    data, other = _two(random, seeds.pictures())
    changed = mutate_bytes(random, data, other)
    if data.startswith(b"\x89PNG") and random.random() < 0.8:
        changed = _with_checksums(changed)
    name = random.choice(("p.png", "p.jpg"))
    return _NET | {name: changed}, ("check", "net.py:Picture", "--layer", "c", "--image", name)


def _with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums as far as they can be found."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = struct.unpack(">L", data[at : at + 4])[0]
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        parts.append(data[at : at + 4] + body + struct.pack(">L", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts) + data[at:]


def _lock(random: Random) -> Made:
    first, other = _two(random, seeds.locks())
    return {"gradflow.lock": mutate_text(random, first, other).encode("utf-8", "surrogatepass")}, (
        "lock",
        "gradflow.lock",
    )


def _pyproject(random: Random) -> Made:
    text = mutate_text(random, seeds.PYPROJECT, seeds.locks()[0])
    if random.random() < 0.3:
        key = random.choice(("source", "layers", "input-shapes", "target", "weights", "inputs", "model-args", "score"))
        text += f"\n[tool.gradflow.models.x]\nsource = 'net.py:Net'\n{key} = {json.dumps(any_value(random))}\n"
    return _NET | {"pyproject.toml": text.encode("utf-8", "surrogatepass")}, ("check",)


def _report(random: Random) -> Made:
    data, other = _two(random, seeds.reports())
    changed = mutate_bytes(random, data, other) if random.random() < 0.05 else mutate_json_text(random, data)
    form = random.choice(("text", "text", "concise", "json", "markdown", "html", "sarif"))
    return {"r.json": changed}, ("render", "r.json", "--format", form)


def _options(random: Random) -> Made:
    return _NET, any_options(random)


def _name(random: Random) -> Made:
    """A model whose layers have odd names."""
    from torch import nn

    model = nn.Sequential()
    for _ in range(3):
        name = any_text(random).replace(".", "_") or "x"
        if not hasattr(model, name):
            model.add_module(name, nn.Linear(5, 5))
    return {"m.pt": seeds.save(model)}, _verb(random, "m.pt", is_model=True)


def _two(random: Random, every: Sequence) -> tuple:
    return random.choice(every), random.choice(every)


KINDS: Mapping[str, Callable[[Random], Made]] = {
    "pickle": _pickle,
    "zip": _zip,
    "legacy": _legacy,
    "exported": _exported,
    "safetensors": _safetensors,
    "array": _array,
    "picture": _picture,
    "lock": _lock,
    "pyproject": _pyproject,
    "report": _report,
    "options": _options,
    "name": _name,
}
