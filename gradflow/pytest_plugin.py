"""The pytest plugin: gradients as assertions, declared models as tests, the connectivity lock.

pytest loads this file in every run where gradflow is installed, so it imports nothing but pytest; whatever has to do
with gradients is imported by the first test that asks for it.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gradflow.current_test import CurrentTest, running

if TYPE_CHECKING:
    from types import ModuleType

    from gradflow.pytest_support.declared_items import DeclaredModels

_TEST = pytest.StashKey[CurrentTest]()
_TRUST = "--gradflow-trust"
_MARKER = (
    "gradflow(select=(), ignore=()): which findings of gradient checks can fail the test, by code (GF101), the "
    "beginning of a code (GF4) or name (detach)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option has its twin in the ini file: ``--gradflow-report`` and ``gradflow_report``.

    But for ``--gradflow-trust``: that a file may run code is the word of whoever runs pytest, not of a file.
    """
    group = parser.getgroup("gradflow", "gradient checks")
    options: list[tuple[str, str, dict[str, Any]]] = [
        (
            "report",
            "write the SVG and JSON of each failing gradient check, and a summary, into DIR",
            {"metavar": "DIR"},
        ),
        ("lock", "compare each declared model with gradflow.lock, fail with what changed", {"action": "store_true"}),
        ("update", "write gradflow.lock anew", {"action": "store_true"}),
    ]
    for name, text, how in options:
        # None, so that the ini file counts where the option is not given
        group.addoption(f"--gradflow-{name}", default=None, help=text, **how)
        kind = "bool" if "action" in how else "string"
        parser.addini(f"gradflow_{name}", f"as --gradflow-{name}", type=kind, default=False if kind == "bool" else "")  # type: ignore[arg-type]
    group.addoption(
        _TRUST,
        action="store_true",
        help="run code inside the files of declared models to load them; only on the command line",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker, find declared models, and listen to the tests where the run is controlled."""
    config.addinivalue_line("markers", _MARKER)
    if not hasattr(config, "workerinput"):  # workers get the option as it is here; `addopts` may be the file's own word
        config.option.gradflow_trust = _TRUST in config.invocation_params.args
    given, preset = config.getoption("gradflow_report"), config.getini("gradflow_report")
    if given or preset:  # workers get this option: it must mean the same folder there
        from gradflow.errors import RenderError
        from gradflow.output.named import output_path

        start = config.invocation_params.dir if given else config.rootpath
        try:
            config.option.gradflow_report = str(start / output_path(given or preset))
        except RenderError as error:
            raise pytest.UsageError(str(error)) from error
    if _wants_models(config):
        config.args.append(str(config.rootpath / "pyproject.toml"))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Controller(config), "gradflow-controller")


def _wants_models(config: pytest.Config) -> bool:
    """Whether declared models are part of a run whose arguments do not name their file."""
    pyproject = config.rootpath / "pyproject.toml"
    narrowed = config.args_source is not config.ArgsSource.TESTPATHS and not any(
        config.getoption(f"gradflow_{name}") for name in ("lock", "update")
    )
    covered = any(_covers(config, argument, pyproject) for argument in config.args)
    return not narrowed and not covered and _declares_models(pyproject)


def _covers(config: pytest.Config, argument: str, pyproject: Path) -> bool:
    path = config.invocation_params.dir / argument.partition("::")[0]
    return pyproject == path or (path.is_dir() and pyproject.is_relative_to(path))


def _declares_models(pyproject: Path) -> bool:
    try:
        # a pipe or a device of that name could be read for ever
        return pyproject.is_file() and b"[tool.gradflow" in pyproject.read_bytes()
    except OSError:
        return False


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> DeclaredModels | None:
    """The project's ``pyproject.toml``, where it declares models."""
    if file_path.name != "pyproject.toml" or file_path.parent != parent.config.rootpath:
        return None
    if not _declares_models(file_path):
        return None
    from gradflow.pytest_support.declared_items import DeclaredModels

    return DeclaredModels.from_parent(parent, path=file_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Read the markers now: a wrong one is told before any test runs."""
    for item in items:
        if item.get_closest_marker("gradflow") is not None:
            from gradflow.pytest_support.marks import read_marks

            item.stash[_TEST] = read_marks(item)


@pytest.fixture
def gradflow() -> ModuleType:
    """Gradients as assertions: ``assert_connected``, ``assert_all_parameters_learn`` ... of ``gradflow.testing``."""
    import gradflow.testing

    return gradflow.testing


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let every check during the test know which test it belongs to."""
    marked = item.stash.get(_TEST, None)
    # a test that runs again, as plugins for flaky tests do, starts with no checks
    test = item.stash[_TEST] = CurrentTest(marked.select, marked.ignore) if marked is not None else CurrentTest()
    with running(test):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the diagnosis instead of a traceback."""
    test = item.stash.get(_TEST, None)
    if test is None or not (test.outcomes or test.lock):
        return (yield)
    for outcome in test.outcomes:
        if hasattr(outcome.error, "is_brief"):  # a section has the rest
            outcome.error.is_brief = True  # type: ignore[union-attr]
    report = yield
    # only now is it known what happened to a `unittest.TestCase`
    error = call.excinfo.value if call.excinfo is not None else None
    outcomes, test.outcomes = test.outcomes, []
    lock, test.lock = test.lock, {}
    from gradflow.pytest_support.telling import tell

    tell(item, report, outcomes, error, item.config.getoption("gradflow_report"))
    if lock:
        report.gradflow["lock"] = lock
    return report


class _Controller:
    """Gathers what the tests have found, also those of xdist's workers, and tells it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._findings: list[dict[str, Any]] = []
        self._written: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        finding = getattr(report, "gradflow", None)
        if finding is not None:
            self._findings.append(finding)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._findings:
            from gradflow.pytest_support.summary import finish

            folder = self._config.getoption("gradflow_report")
            self._written, is_complete = finish(self._findings, self._config.rootpath, folder)
            if not is_complete and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        failed = any("reason" in finding for finding in self._findings)
        if failed or self._written or (self._findings and self._config.getoption("verbose") > 0):
            from gradflow.pytest_support.summary import show

            show(terminalreporter, self._findings, self._written, self._config.rootpath)
