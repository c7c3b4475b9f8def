from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from gradflow.errors import RenderError
from gradflow.output.marks import is_ours, refuse_foreign, with_mark

PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    )
)
PDF = b"%PDF-1.5\n1 0 obj\n<<>>\nendobj\nxref\n0 1\ntrailer\n<< /Size 1 >>\nstartxref\n31\n%%EOF\n"
MARKED = {
    "text": b"connected: a gradient reaches `a`\n",
    "concise": b"net.py:3:1: error GF101 detach: no gradient\n",
    "markdown": b"### gradflow: connected\n",
    "dot": b"digraph gradflow {\n}\n",
    "png": PNG,
    "pdf": PDF,
}
FOREIGN = {
    "empty words": b"gradflow",
    "notes": b"my notes: see # written by gradflow\n",
    "notes below a heading": b"### gradflow: what I found\n\nnotes\n",
    "a report in notes": b"# Notes\n\n### gradflow: connected\n\n<!-- written by gradflow -->\n",
    "json": b'{"verdict": "connected", "generator": "gradflow"}\n',
    "json of another tool": b'{"schema_version": "1.0", "verdict": "pass", "score": 3}\n',
    "sarif of another tool": (
        b'{"$schema": "https://x/sarif-2.1.0.json", "version": "2.1.0", "runs": [{"tool": {"driver": {"name": "ruff",'
    ),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><g class="gradflow" role="img"/></svg>\n',
    "html": b"<!doctype html>\n<html><head><title>gradflow</title></head></html>\n",
    "html about a generator": (
        b'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n</head>'
        b'<pre><meta name="generator" content="gradflow"></pre>'
    ),
    "dot": b"digraph gradflow {\n}\n",
    "png": PNG,
    "png that is cut off": PNG[:20],
    "png with the words in its pixels": PNG + b"tEXtSoftware\0gradflow",
    "pdf": PDF,
    "pdf with the words inside": PDF.replace(b"1 0 obj", b"% written by gradflow\n1 0 obj"),
    "numpy": b"\x93NUMPY\x01\x00",
    "python": b"import gradflow\n",
}


@pytest.mark.parametrize("kind", MARKED)
def test_a_marked_file_is_known_again(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "any.name"
    for content in (MARKED[kind], MARKED[kind].replace(b"connected", b"connected" * 5000)):
        path.write_bytes(with_mark(content, kind, path))
        assert is_ours(path)
        refuse_foreign(path, hint="")


@pytest.mark.parametrize("content", FOREIGN)
def test_a_file_of_somebody_else_is_not(content: str, tmp_path: Path) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(FOREIGN[content])
    assert not is_ours(path)
    with pytest.raises(RenderError, match="exists") as caught:
        refuse_foreign(path, hint="do this")
    assert caught.value.hint == "do this"


def test_a_marked_picture_is_still_one(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "p.png"
    path.write_bytes(with_mark(PNG, "png", path))
    with Image.open(path) as picture:
        picture.load()
        assert picture.text == {"Software": "gradflow"}
    again = with_mark(path.read_bytes(), "png", path)
    assert again == path.read_bytes()


def test_the_mark_of_a_pdf_moves_nothing_that_is_pointed_at(tmp_path: Path) -> None:
    marked = with_mark(PDF, "pdf", tmp_path / "p.pdf")
    assert marked.startswith(PDF[: PDF.index(b"startxref")])
    assert marked.endswith(b"startxref\n31\n%%EOF\n")


def test_a_device_gets_no_mark() -> None:
    assert with_mark(b"text\n", "text", Path("/dev/null")) == b"text\n"


def test_nothing_empty_or_missing_is_foreign(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    refuse_foreign(path, hint="")
    path.touch()
    refuse_foreign(path, hint="")
    refuse_foreign(tmp_path, hint="")
    refuse_foreign(Path("/dev/null"), hint="")


def test_of_an_array_it_is_not_said_that_gradflow_did_not_write_it(tmp_path: Path) -> None:
    path = tmp_path / "cam.npy"
    path.write_bytes(FOREIGN["numpy"])
    with pytest.raises(RenderError, match="cannot be known") as caught:
        refuse_foreign(path, hint="")
    assert "no room" in caught.value.note


def test_a_mark_of_its_own_counts_alone(tmp_path: Path) -> None:
    path = tmp_path / "gradflow.lock"
    path.write_bytes(b"# ours\nversion = 1\n")
    refuse_foreign(path, hint="", mark=b"# ours")
    path.write_bytes(with_mark(b"a report\n", "text", path))
    with pytest.raises(RenderError, match="was not written by gradflow"):
        refuse_foreign(path, hint="", mark=b"# ours")
