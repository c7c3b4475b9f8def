"""`gradflow run` beside plain Python: the same output, the same warnings, the same end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {
    "what a program knows of itself": """
        import atexit, os, pickle, signal, sys, threading, time
        class Thing:
            pass
        @atexit.register
        def last():
            print(type(pickle.loads(pickle.dumps(Thing()))).__name__, sys.argv)
        def late():
            time.sleep(0.2)
            print("late")
        print(sorted(globals()), __name__, __spec__, type(__loader__).__name__)
        print(__file__ == os.path.abspath("program.py"))
        print(sys.argv, [path for path in sys.path if path in ("", os.getcwd())])
        print(input("name? "), sys.stdin.read())
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            print("caught")
        threading.Thread(target=late).start()
        sys.exit(7)
    """,
    "an exit with a message": """
        import sys
        print("so far")
        sys.exit("that is all")
    """,
    "an immediate end": """
        import os
        print("gone", flush=True)
        os._exit(3)
    """,
    "Ctrl-C": """
        import atexit, os, signal, time
        atexit.register(print, "at exit")
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    """,
    "a signal": """
        import os, signal, time
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    """,
    "an end in a forked process": """
        import os, sys
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            print("child")
            sys.exit(5)
        print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
    "spawned processes": """
        import multiprocessing
        class Thing:
            pass
        def work(queue, thing):
            queue.put((__name__, type(thing).__module__))
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            process = context.Process(target=work, args=(queue, Thing()))
            process.start()
            print(queue.get(timeout=60))
            process.join()
            print(process.exitcode)
    """,
    "a closed stdout": """
        import sys
        print("here", flush=True)
        sys.stdout.close()
    """,
    "warnings": """
        import warnings, torch
        x = torch.ones(2, requires_grad=True)
        for _ in range(2):
            torch.tensor(x)
            torch.tensor(x)
        torch.ones(2, 3, 4).T
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.tensor(x)
        print([(os_path.endswith("program.py"), line) for os_path, line in [(w.filename, w.lineno) for w in caught]])
        warnings.simplefilter("error")
        try:
            torch.tensor(x)
        except UserWarning:
            print("raised")
    """,
    "an exception": """
        import torch
        def product(x):
            return x @ torch.ones(7, 7)
        try:
            product(torch.ones(2, 3))
        except RuntimeError as error:
            raise ValueError("wrapped") from error.with_traceback(None)
    """,
    "an exception in modules": """
        import torch
        from torch import nn
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.hooked = nn.Linear(2, 2), nn.Linear(2, 2)
                self.hooked.register_forward_pre_hook(lambda module, arguments: None)
            def forward(self, x):
                return self.first(self.hooked(x))
        net = Net()
        net(torch.ones(1, 2))
        try:
            net.first(torch.ones(3, 3))
        except RuntimeError as error:
            first = error
        try:
            net(torch.ones(3, 3))
        except RuntimeError as error:
            raise ExceptionGroup("both", [first, error])
    """,
    "an exception of a hook, in place of another": """
        import torch
        from torch import nn
        def hook(module, arguments, output):
            try:
                {}["missing"]
            except KeyError:
                raise LookupError("nothing there")
        layer = nn.Sequential(nn.Linear(2, 2))
        layer[0].register_forward_hook(hook)
        layer(torch.ones(1, 2))
    """,
    "an excepthook of its own": """
        import atexit, sys, traceback
        import torch
        from torch import nn
        def hook(kind, error, trace):
            print(kind.__name__, [(frame.name, frame.lineno) for frame in traceback.extract_tb(trace)])
            raise KeyError("in the hook")
        def last():
            print([frame.name for frame in traceback.extract_tb(sys.last_traceback)], sys.last_type.__name__)
        sys.excepthook = hook
        atexit.register(last)
        nn.Sequential(nn.Linear(2, 2))(torch.ones(3, 3))
    """,
    "no excepthook": """
        import sys
        del sys.excepthook
        1 / 0
    """,
    "an excepthook that cannot be called": """
        import sys
        sys.excepthook = None
        1 / 0
    """,
    "a program that cannot be read": """
        x = = 1
    """,
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input="Ada\nand more",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
    )


def assert_alike(folder: Path, *arguments: str) -> None:
    plain, watched = run(folder, *arguments), run(folder, "-m", "gradflow", "run", *arguments)
    assert (watched.returncode, watched.stdout) == (plain.returncode, plain.stdout)
    said = watched.stderr.replace(plain.stderr, "", 1)
    assert re.fullmatch(r"(gradflow: .*\n)?", said), watched.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX")
@pytest.mark.parametrize("name", PROGRAMS)
def test_alike(name: str, tmp_path: Path) -> None:
    lines = PROGRAMS[name].strip("\n").splitlines()
    (tmp_path / "program.py").write_text("\n".join(line.removeprefix("        ") for line in lines) + "\n")
    assert_alike(tmp_path, "program.py")


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    assert_alike(tmp_path, "-m", "nowhere_at_all")


def test_a_folder_with_a_main(tmp_path: Path) -> None:
    (tmp_path / "application").mkdir()
    (tmp_path / "application" / "__main__.py").write_text(
        "import sys, part\nprint(__name__, __package__, sys.argv, sys.path[0], part.NAME)\n1 / 0\n"
    )
    (tmp_path / "application" / "part.py").write_text("NAME = 'part'\n")
    assert_alike(tmp_path, "application", "--flag")
