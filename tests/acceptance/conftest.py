"""Fixtures for tests with real workers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file that the test's workers log into."""
    return tmp_path / "worker.log"


@pytest.fixture
def enqueue(db: str) -> Callable[..., Any]:
    """Enqueue a task of the acceptance project by its name; returns Django's TaskResult."""

    def enqueue_by_name(name: str, *args: object, **options: Any) -> Any:
        from tests.acceptance.project import tasks

        chosen = getattr(tasks, name)
        return (chosen.using(**options) if options else chosen).enqueue(*args)

    return enqueue_by_name
