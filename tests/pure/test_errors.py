"""Errors that rows name by their path: the path is a contract, since stored rows outlive their version."""

import pytest

from reproq import errors
from reproq.lifecycle import EXCEPTION_CLASSES, Kind

KINDS = {
    "timeout": "RunTimedOut",
    "child_died": "ChildDied",
    "bad_reply": "BadReply",
    "lease_expired": "LeaseExpired",
    "released": "ReleasedTooOften",
    "unknown_task": "UnknownTask",
    "bad_return": "BadReturn",
    "spec_tampered": "SpecTampered",
    "bad_spec": "BadSpec",
    "cancelled": "RunCancelled",
    "expired": "RunExpired",
}


@pytest.mark.parametrize("name", KINDS.values(), ids=KINDS)
def test_every_kind_of_error_keeps_the_path_that_is_stored(name: str) -> None:
    kind = getattr(errors, name)
    assert f"{kind.__module__}.{kind.__qualname__}" == f"reproq.errors.{name}"
    assert issubclass(kind, errors.ReproqError)


def test_every_kind_has_its_class_but_the_one_that_brings_its_own() -> None:
    assert {kind: f"reproq.errors.{name}" for kind, name in KINDS.items()} == EXCEPTION_CLASSES
    assert set(Kind) - set(EXCEPTION_CLASSES) == {Kind.EXCEPTION}
