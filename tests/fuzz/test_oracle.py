"""The fuzzer sees what it is there for: a case that runs code, dies, hangs, leaves a file behind or says too much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fuzz.verdict import problem_of

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys, tempfile
from pathlib import Path
from tests.fuzz import running
from tests.fuzz.case import Case

running.import_ahead()
running.SECONDS = 4
sources = json.load(sys.stdin)
cases = [Case("x", at, {"net.py": text.encode()}, ("layers", "net.py:Net")) for at, text in enumerate(sources)]
with tempfile.TemporaryDirectory() as folder:
    print(json.dumps([outcome.problem for _, outcome in running.run_cases(cases, Path(folder))]))
"""
NET = "import os, sys\nfrom torch import nn\n\nclass Net(nn.Sequential):\n    pass\n\n"
SEEN = {
    "": "",
    "os.system('true')": "the event os.system",
    "os.mkdir('made')": "the event os.mkdir",
    "open('made', 'w')": "the event open",
    "exec('canary_of_the_' 'fuzzer = 1')": "the event exec",
    "os.abort()": "the process ended with status -6",
    "os._exit(0)": "the process ended with status 2",  # told, and ended as one that has answered nothing
    "\nwhile True:\n    pass": "it took longer than",
    "x = bytearray(10**10)": "it says 'MemoryError'",
    "sys.stderr.write('Traceback (most recent call last)')": "it says 'Traceback",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked for each batch of files")
def test_what_a_case_does_is_seen_and_the_next_case_still_runs():
    sources = [f"{NET}{line}\n" for line in SEEN] + [NET]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(sources),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    problems = json.loads(done.stdout.splitlines()[-1])
    for problem, seen in zip(problems, [*SEEN.values(), ""], strict=True):
        assert problem.startswith(seen) if seen else not problem, problems


@pytest.mark.parametrize(
    ("status", "out", "err", "is_right"),
    [
        (0, "connected\n", "", True),
        (1, "disconnected\n", "note: x\n", True),
        (2, "", "error: `m.pt` is damaged\n", True),
        (2, "", "`m.pt` is damaged\n", False),
        (2, "", "error: this is a bug in gradflow: KeyError\n", False),
        (3, "", "", False),
        (0, "a\x1b[2J\n", "", False),
        (0, "a\n::error file=a::x\n", "", False),
        (0, "a ::error file=a::x\n", "", True),
    ],
)
def test_what_a_case_says_is_judged(tmp_path, status, out, err, is_right):
    assert (problem_of(status, out, err, tmp_path, {}) == "") is is_right


def test_a_file_that_is_changed_is_seen(tmp_path):
    (tmp_path / "m.pt").write_bytes(b"before")
    assert problem_of(0, "", "", tmp_path, {"m.pt": b"before"}) == ""
    assert "was changed" in problem_of(0, "", "", tmp_path, {"m.pt": b"other"})
    assert "other files" in problem_of(0, "", "", tmp_path, {})
