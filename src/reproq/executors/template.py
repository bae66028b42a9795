"""One template process, from the worker's side: started, listened to, spoken to, watched, and killed.

What it says goes to an Owner; it refuses to know runs, except by their numbers.
"""

import errno
import os
import secrets
import select
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Final

from reproq.child import control
from reproq.child.control import Packet, Verb
from reproq.errors import ProtocolError
from reproq.executors.children import Process, exit_reason, tail_of
from reproq.executors.output import OutputPipe

OUTPUT_BYTES: Final = 16384
ANSWER_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 5.0
MARK: Final = "REPROQ_TEMPLATE"
"""In the environment of a template and all that descends from it: how what it leaves behind is recognised."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a template. `environment` is used as it is (see `template_environment`)."""

    setup: str
    environment: Mapping[str, str]
    python: str
    max_return_bytes: int
    import_timeout_seconds: float
    path: tuple[str, ...] = ()
    """Folders that it imports from before others: where manage.py lies, when that is not the working folder."""
    max_memory_bytes: int = 0
    """What each process of a run may have of its own; 0 for any."""


class TemplateProcess:
    """One life of a template. `on_packet` hears what it says, `on_death` that it has ended (once, with the reason)."""

    def __init__(
        self,
        launch: Launch,
        selector: BaseSelector,
        on_packet: Callable[[Packet], None],
        on_death: Callable[[str], None],
    ) -> None:
        self.launch = launch
        self.mark = secrets.token_hex(8)
        self.ready = False
        self.started_s = time.monotonic()
        self._selector = selector
        self._on_packet = on_packet
        self._on_death = on_death
        self._unsaid: deque[Packet] = deque()
        self._unanswered = 0
        self._answered_s = self.started_s
        self._hung = ""
        self.output = OutputPipe(selector, OUTPUT_BYTES)
        try:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            self.output.close()
            raise
        try:
            self._popen = self._start(theirs.fileno())
            self.process = Process(self._popen.pid, self._pidfd())
        except OSError:
            self.output.close()
            self._control.close()
            raise
        finally:
            theirs.close()
        self._control.setblocking(False)
        selector.register(self._control, EVENT_READ, self._listen)
        selector.register(self.process.pidfd, EVENT_READ, self._died)

    def _start(self, descriptor: int) -> "subprocess.Popen[bytes]":
        launch = self.launch
        command = [launch.python, "-m", "reproq.child", "--setup", launch.setup, "--control", str(descriptor)]
        command += ["--worker", str(os.getpid()), "--max-return-bytes", str(launch.max_return_bytes)]
        command += ["--max-memory-bytes", str(launch.max_memory_bytes)]
        command += [argument for folder in launch.path for argument in ("--path", folder)]
        writer = self.output.detach_writer()
        try:
            return subprocess.Popen(
                command,
                env={**launch.environment, MARK: self.mark},
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,  # a Ctrl-C at the terminal, or TERM to the worker's group, is not for it
            )
        finally:
            os.close(writer)

    def _pidfd(self) -> int:
        try:
            return os.pidfd_open(self._popen.pid)
        except OSError:  # no descriptor is left
            self._popen.kill()
            self._popen.wait()
            raise

    def say(self, packet: Packet) -> None:
        """Say one thing as soon as the socket takes it; its descriptors are closed then."""
        if not self._unanswered:
            self._answered_s = time.monotonic()
        self._unanswered += 1
        self._unsaid.append(packet)
        if len(self._unsaid) == 1:
            self._speak()

    def deadline(self) -> float | None:
        """When it must have said something: READY, or an answer. None once it is being killed for its silence."""
        if self._hung:
            return None
        if not self.ready:
            return self.started_s + self.launch.import_timeout_seconds
        return self._answered_s + ANSWER_SECONDS if self._unanswered else None

    def kill_if_hung(self, now_s: float) -> None:
        """Kill it when it has been silent for too long; its death is then reported as any other."""
        limit = self.deadline()
        if limit is not None and now_s >= limit:
            what = "import the project" if not self.ready else "answer"
            self._hung = f"it did not {what} within {limit - (self._answered_s if self.ready else self.started_s):g} s"
            self.process.kill()

    def close(self) -> None:
        """End it and all that descends from it; waits, at most a few seconds. For the end of the worker only."""
        self._hang_up()
        if not self.ready:
            self.process.kill()
        poller = select.poll()
        poller.register(self.process.pidfd, select.POLLIN)
        if not poller.poll(CLOSE_SECONDS * 1000):
            self.process.kill()
        self._bury()

    def _listen(self) -> None:
        while self._control.fileno() >= 0:
            try:
                packet = control.receive(self._control)
            except BlockingIOError:
                break
            except ProtocolError as error:
                self._hung = self._hung or f"it broke the control protocol: {error}"
                packet = None
            except ConnectionError:
                packet = None
            if packet is None:  # it is ending; make sure of that, and wait for the pidfd to say so
                self._hang_up()
                self.process.kill()
                return
            self._heard(packet)
        if self._unsaid:
            self._speak()

    def _heard(self, packet: Packet) -> None:
        self._answered_s = time.monotonic()
        if packet.verb is Verb.READY:
            self.ready = True
        elif packet.verb is not Verb.BROKEN:
            self._unanswered -= 1
        self._on_packet(packet)

    def _speak(self) -> None:
        events = EVENT_READ
        while self._unsaid:
            try:
                control.send(self._control, self._unsaid[0])
            except BlockingIOError:
                events |= EVENT_WRITE
                break
            except OSError as error:
                if error.errno == errno.ETOOMANYREFS:  # too many descriptors under way: try after the next answer
                    break
                self._drop_unsaid()  # it is dead, and its pidfd says so next
                break
            for descriptor in self._unsaid.popleft().descriptors:
                os.close(descriptor)
        if self._control.fileno() >= 0 and self._selector.get_key(self._control).events != events:
            self._selector.modify(self._control, events, self._listen)

    def _died(self) -> None:
        self._listen()  # its last words: FORKED and REAPED count, BROKEN says why
        status = self._bury()
        reason = self._hung or exit_reason(status).replace("the child", "it")
        self._on_death(f"{reason}{tail_of(self.output.close())}")

    def _bury(self) -> int:
        status = self._popen.wait()
        self._hang_up()
        self._selector.unregister(self.process.pidfd)
        self.process.close()
        self.output.close()
        return status

    def _hang_up(self) -> None:
        if self._control.fileno() >= 0:
            self._selector.unregister(self._control)
            self._control.close()
        self._drop_unsaid()

    def _drop_unsaid(self) -> None:
        while self._unsaid:
            for descriptor in self._unsaid.popleft().descriptors:
                os.close(descriptor)
