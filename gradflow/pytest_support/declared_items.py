"""Test items for the models that ``pyproject.toml`` declares: one for each kind of expectation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradflow.current_test import CurrentTest, current_test
from gradflow.declared.expectations import Expectation, expectations_of
from gradflow.declared.model import DeclaredModel
from gradflow.declared.reading import read_declared_models
from gradflow.errors import GradflowError
from gradflow.printable import inert, printable

__all__ = ["DeclaredModels"]


class DeclaredModels(pytest.File):
    """A ``pyproject.toml`` that declares models."""

    def collect(self) -> Iterator[pytest.Collector]:
        """One collector for each model."""
        try:
            models = read_declared_models(self.path)
        except GradflowError as error:
            raise self.CollectError(str(error)) from error
        is_trusted = self.config.getoption("gradflow_trust")
        for model in models:
            yield _Model.from_parent(self, name=printable(model.name), model=model.trusted() if is_trusted else model)


class _Model(pytest.Collector):
    def __init__(self, *, model: DeclaredModel, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def collect(self) -> Iterator[pytest.Item]:
        for expectation in expectations_of(self.model):
            yield ExpectationItem.from_parent(self, name=expectation.kind, expectation=expectation)
        if self.config.getoption("gradflow_update") or self.config.getini("gradflow_update"):
            yield LockUpdateItem.from_parent(self, name="lock", model=self.model)
        elif self.config.getoption("gradflow_lock") or self.config.getini("gradflow_lock"):
            yield LockItem.from_parent(self, name="lock", model=self.model)


class _GradientItem(pytest.Item):
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any) -> Any:
        """What is wrong, without a traceback: there is no code of a test to show."""
        error = excinfo.value
        if isinstance(error, (AssertionError, GradflowError)):
            return inert(str(error))
        return super().repr_failure(excinfo, *args, **kwargs)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        parent = self.parent
        return self.path, None, f"{parent.name if parent is not None else ''}: {self.name}"


class ExpectationItem(_GradientItem):
    """One expectation of one model."""

    def __init__(self, *, expectation: Expectation, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.expectation = expectation

    def runtest(self) -> None:
        """Check it."""
        self.expectation.verify()


class LockItem(_GradientItem):
    """Compares a model with the lock."""

    def __init__(self, *, model: DeclaredModel, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def runtest(self) -> None:
        """Compare."""
        from gradflow.declared.connectivity import verify_lock

        verify_lock(self.model)


class LockUpdateItem(_GradientItem):
    """Finds out what the lock is to hold; the file is written at the end of the run, by one process."""

    def __init__(self, *, model: DeclaredModel, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def runtest(self) -> None:
        """Find out."""
        from gradflow.declared.connectivity import connectivity_of

        sections, _ = connectivity_of(self.model)
        test = current_test() or CurrentTest()
        test.lock = {self.model.name: sections}
