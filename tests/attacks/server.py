"""A program that imports torch and gradflow once, and forks for each command that it reads: see ``commands.py``.

One line of JSON in, one out: ``[exit status or null where it had to be stopped, stdout, stderr]``.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import io
import json
import os
import resource
import runpy
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import pytest
import torch

import gradflow.cli

CRASHED = 77


def address_space():
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def import_ahead():
    """Import what a command would import anyway, so that it need not do so after each fork."""
    warnings.simplefilter("ignore")
    for name in (
        "_pytest.assertion.rewrite",
        "torch.export.unflatten",
        "torchvision.models",
        "gradflow.auditing",
        "gradflow.checking",
        "gradflow.load.loading",
    ):
        if name.partition(".")[0] != "torchvision" or importlib.util.find_spec("torchvision"):
            importlib.import_module(name)
    torch.set_num_threads(1)


def prepare(order, out, err):
    """Make the forked process look like one that a shell has started."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(order["cwd"])
    sys.path.insert(0, order["cwd"])
    os.environ.update(order["env"])
    if order["memory"]:
        limit = address_space() + order["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if order["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"], order["largest_file"]))
    if order["closed"]:
        os.close(1)
        sys.stdout = None


def run(kind, argv):
    if kind == "cli":
        return gradflow.cli.main(argv)
    if kind == "pytest":
        sys.modules.pop("conftest", None)
        return int(pytest.main(argv))
    if kind == "each":
        sys.stdout.write(json.dumps([run_quietly(one) for one in argv]))
        return 0
    runpy.run_path(argv[0], run_name="__main__")
    return 0


def run_quietly(argv):
    """``[exit status, stdout, stderr]`` of a command that is one of many in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = gradflow.cli.main(argv)
        except BaseException:  # noqa: BLE001 - the traceback is what the test looks for
            status = CRASHED
            traceback.print_exc()
    return [status, out.getvalue(), err.getvalue()]


def child(order, out, err):
    prepare(order, out, err)
    status = CRASHED
    try:
        status = run(order["kind"], order["argv"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else CRASHED
    except BaseException:  # noqa: BLE001 - the traceback is what the test looks for
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    ctypes.CDLL(None).fflush(None)  # what torch's own interpreter has printed
    os._exit(status)


def wait(pid, seconds):
    """The exit status, negative for a signal; None where it had to be stopped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(code)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def answer(order):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            child(order, out.fileno(), err.fileno())
        result = [wait(pid, order["timeout"])]
        for file in (out, err):
            file.seek(0)
            result.append(file.read().decode("utf-8", "replace"))
    return result


def serve():
    with os.fdopen(os.dup(1), "w") as protocol:
        import_ahead()
        print("ready", file=protocol, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), file=protocol, flush=True)


serve()
