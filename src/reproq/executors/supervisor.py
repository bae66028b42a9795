"""Keeps one template alive: starts it, notices its death, starts another with a back-off, kills what it leaves behind.

It refuses to know runs: whoever uses it is told when a template is ready or has died, and says what died with it.
"""

import time
from collections.abc import Callable, Set
from selectors import BaseSelector
from typing import Final

from reproq.child import control
from reproq.child.control import Packet, Verb
from reproq.errors import ConfigurationError
from reproq.executors.last_words import last_words
from reproq.executors.orphans import OrphanSweep
from reproq.executors.restarts import Restarts
from reproq.executors.template import MARK, Launch, TemplateProcess

MAX_PRINTED_CHARS: Final = 2000


class Supervisor:
    """`on_packet` hears of runs, `on_ready` that some can be asked for, `on_death` why no more of them will be heard
    of; it answers with the sessions (pids) of the runs that die with their template."""

    def __init__(
        self,
        launch: Launch,
        selector: BaseSelector,
        on_packet: Callable[[Packet], None],
        on_ready: Callable[[], None],
        on_death: Callable[[str], Set[int]],
    ) -> None:
        self.launch = launch
        self.template: TemplateProcess | None = None
        self.notices: list[str] = []
        self.is_failing = False
        """Whether the last start came to nothing: who waits for a template may wait long."""
        self._selector = selector
        self._on_packet = on_packet
        self._on_ready = on_ready
        self._on_death = on_death
        self._sweeps: list[OrphanSweep] = []
        self._restarts = Restarts()
        self._was_ready = False
        self._broken = ""  # what the setup of the current template raised
        self._never = ""  # why the first template never became ready

    @property
    def ready(self) -> bool:
        """Whether a template can fork; raises ConfigurationError when the first one never could."""
        if self._never:
            raise ConfigurationError(self._never)
        return self.template is not None and self.template.ready

    def take_notices(self) -> list[str]:
        """Sentences for the log since the last call."""
        notices, self.notices = self.notices, []
        return notices

    def start(self) -> None:
        """Start a template now."""
        self._restarts.begun()
        self._broken = ""
        try:
            self.template = TemplateProcess(self.launch, self._selector, self._heard, self._died)
        except OSError as error:
            self._not_started(f"{self.launch.python} cannot be started: {error}")

    def due_at(self) -> float:
        """When `tick` has something to do, infinity for never."""
        moments = [self._restarts.due_at, *(sweep.due_at for sweep in self._sweeps)]
        if self.template is not None and (silent_until := self.template.deadline()) is not None:
            moments.append(silent_until)
        return min(moments)

    def tick(self, now_s: float) -> None:
        """Act on what is due."""
        if self.template is not None:
            self.template.kill_if_hung(now_s)
        if now_s >= self._restarts.due_at:
            self.start()
        for sweep in self._sweeps:
            if now_s >= sweep.due_at:
                sweep.sweep(now_s)
        self._sweeps = [sweep for sweep in self._sweeps if not sweep.is_over]

    def close(self) -> None:
        """End the template with all that descends from it; waits for that."""
        self._restarts.begun()
        if self.template is not None:
            self.template.close()
            self.template = None
        for sweep in self._sweeps:
            sweep.sweep(time.monotonic())
        self._sweeps = []

    def _heard(self, packet: Packet) -> None:
        match packet.verb:
            case Verb.READY:
                self._became_ready(control.warnings_of(packet))
            case Verb.BROKEN:
                self._broken = packet.text
            case _:
                self._on_packet(packet)

    def _became_ready(self, warnings: list[str]) -> None:
        self._was_ready, self.is_failing = True, False
        self.notices += warnings
        if self.template is not None and (printed := self.template.output.capture.output().last_text.strip()):
            self.notices.append(f"the project printed while it was imported: {printed[-MAX_PRINTED_CHARS:]}")
        self._on_ready()

    def _died(self, reason: str) -> None:
        template, self.template = self.template, None
        if template is None:
            return
        now = time.monotonic()
        sessions = self._on_death(f"the template died: {reason}")
        self._sweeps.append(OrphanSweep(f"{MARK}={template.mark}", sessions, now))
        if not template.ready:
            self._not_started(self._broken or reason)
            return
        wait_seconds = self._restarts.died(now, now - template.started_s)
        self.notices.append(
            f"the template died: {reason}\n{len(sessions)} of its runs were under way and end with it; "
            f"another template starts in {wait_seconds:g} s"
        )

    def _not_started(self, why: str) -> None:
        self.is_failing = True
        words = last_words(why)
        text = f"the template could not be prepared by {self.launch.setup}:{'\n' if '\n' in words else ' '}{words}"
        if self._was_ready:
            wait_seconds = self._restarts.died(time.monotonic())
            self.notices.append(f"{text}\nanother attempt follows in {wait_seconds:g} s")
        else:
            self._never = text
