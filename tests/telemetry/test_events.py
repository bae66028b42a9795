"""Events reach those who listen, and cost nothing where nobody does."""

from reproq.telemetry.events import Event, Telemetry


def test_what_nobody_wants_to_hear_is_not_told() -> None:
    heard: list[Event] = []
    telemetry = Telemetry([heard.append], unheard=frozenset({"run.claimed"}))
    telemetry.emit("run.claimed", id=1)
    telemetry.emit("run.failed", id=1)
    assert [event.name for event in heard] == ["run.failed"]
