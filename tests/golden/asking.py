"""Runs gradflow on one case in a copy of this process, so that no case can disturb another."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.golden.answer import Answers, answers_of
from tests.golden.cases import Case

__all__ = ["ask"]

_MOST_SECONDS = 300


def ask(case: Case) -> Answers:
    """What gradflow says; a run that ends without a report says so."""
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "report.json", Path(folder) / "log"
        child = os.fork()
        if child == 0:
            _in_the_copy(case, out, log)
        deadline = time.monotonic() + _MOST_SECONDS
        while not os.waitpid(child, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return {"": {"crash": "it does not end"}}
            time.sleep(0.01)
        if not out.exists():
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            # without the paths of this machine
            return answers_of({"crash": " ".join(word for word in " ".join(last).split() if "/" not in word)[:200]})
        return answers_of(json.loads(out.read_text(encoding="utf-8")))


def _in_the_copy(case: Case, out: Path, log: Path) -> None:
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.chdir(case.folder)
        if case.kind == "command":
            from gradflow.cli import main

            verb, *rest = case.arguments
            sys.path.insert(0, str(case.folder))
            main([verb, "--format", "json", "--output", str(out), *rest])
        else:
            out.write_text(json.dumps(_audit(case)), encoding="utf-8")
    except BaseException:  # noqa: BLE001  (told by its last line; the copy ends here in any case)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _audit(case: Case) -> Any:
    import torch

    import gradflow
    from tests.zoo.case import SEED
    from tests.zoo.sources import source_module

    model = source_module(case.source).build(case.name)
    torch.manual_seed(SEED)

    def score(output: Any) -> Any:
        # in train mode some return their auxiliary heads besides
        return model.score(output[0] if isinstance(output, tuple) and not model.part else output)

    return gradflow.audit(model.model, inputs=model.inputs, loss=score).to_json()
