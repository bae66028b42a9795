"""A test run that is ended by TERM, as by `timeout` or `make`, clears up as after Ctrl-C: no server outlives it."""

import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """In the controller and in each of its workers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
