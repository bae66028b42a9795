"""The template: a process that imports the project once, forks a child for each run (in a pool, for many), and reaps
it when told to.

It never has a thread or a database connection, and outlives no worker: when the control socket ends it kills
whatever descends from it, also what called setsid, then itself.
"""

import contextlib
import importlib
import os
import signal
import socket
import sys
import traceback

# The C function below signal.signal, which looks up enumerations and so writes into many pages that a child shares.
from _signal import signal as set_signal  # type: ignore[import-not-found]
from collections.abc import Callable
from typing import Any, Final, Never

from reproq.child import control, forgetting, kernel, memory, rehearsal
from reproq.child.control import Packet, Verb
from reproq.child.run import EXIT_CANNOT_REPLY, Runner, run_one
from reproq.child.service import serve
from reproq.child.warming import notices_of, runner_of, warm_up_of

SWEEP_SECONDS: Final = 0.02
"""How soon to look again after something was killed: its own children become ours when it is dead."""
LONGEST_SWEEP_SECONDS: Final = 1.0
"""As long as the same is found again: what we may not kill stays for as long as it likes."""


class Template:
    """One template. `main` never returns."""

    def __init__(
        self, setup: str, channel: socket.socket, worker_pid: int, max_return_bytes: int, max_memory_bytes: int
    ) -> None:
        self.setup = setup
        self.control = channel
        self.worker_pid = worker_pid
        self.max_return_bytes = max_return_bytes
        self.max_memory_bytes = max_memory_bytes
        self.pid = os.getpid()
        self.children: dict[int, int] = {}  # the worker's number of a run -> pid, until REAP
        self.private = kernel.private_descriptor()
        self.signals: list[tuple[int, Any]] = []
        self.runner: Runner
        self.warm_up: Callable[[], None]
        self.own: kernel.OwnChildren
        self.strangers: set[int] = set()  # what the import of the project has started
        self.sessions: set[int] = set()  # ours and those of the strangers
        self.waits_seconds = 0.0
        self.left: list[int] = []  # what the last sweep has found

    def main(self) -> Never:
        """Import, rehearse, say READY, then serve until the worker is gone."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # for the children, who inherit it
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by whoever started us, no wait would learn an exit code
        kernel.become_subreaper()
        # An import may hang, deaf to the control socket: until it is done, the kernel watches the worker.
        kernel.die_with_parent(self.worker_pid)
        try:
            warnings = self.prepare()
        except BaseException as error:
            text = str(error) if isinstance(error, memory.TooLittle) else traceback.format_exc()
            with contextlib.suppress(OSError):
                control.send(self.control, Packet(Verb.BROKEN, text=text))
            self.die(1)
        kernel.outlive_parent()
        try:
            control.send(self.control, Packet(Verb.READY, text=control.warnings_text(warnings)))
            self.serve()
        except (BrokenPipeError, ConnectionError):
            pass  # the worker is gone
        except BaseException:
            traceback.print_exc()
        self.die(0)

    def prepare(self) -> list[str]:
        """Everything before READY; the warnings to say with it."""
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        secrets = forgetting.find()
        module, _, function = self.setup.partition(":")
        found = getattr(importlib.import_module(module), function)()
        self.runner = runner_of(found)
        if not callable(self.runner):
            raise TypeError(f"the setup function {self.setup} returned {self.runner!r}, which is not callable")
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the import may have set it
        forgetting.forget(secrets)
        warnings = [*rehearsal.thread_warnings(), *notices_of(found)]
        self.signals = rehearsal.signals_to_restore()
        self.warm_up = warm_up_of(found, self.max_return_bytes)
        rehearsal.rehearse(self.max_return_bytes, self.warm_up)
        rehearsal.flush_everything()
        rehearsal.freeze()
        if 0 < self.max_memory_bytes <= (own_bytes := memory.own_bytes()):
            raise memory.TooLittle(
                f"max_memory = {self.max_memory_bytes:,} bytes leaves nothing for a run: the imported project has "
                f"{own_bytes:,} bytes, which every child has from its first moment; raise max_memory"
            )
        self.own = kernel.OwnChildren()
        self.strangers = set(self.own.look())
        self.sessions = {os.getsid(pid) for pid in (self.pid, *self.strangers)}
        return warnings

    def serve(self) -> None:
        """Do what the worker asks, one packet at a time; return when it is gone."""
        while True:
            try:
                packet = control.receive(self.control, control.ORDER_BYTES)
            except BlockingIOError:
                self.sweep()
                continue
            if packet is None:
                return
            if packet.verb is Verb.FORK:
                self.fork(packet)
            elif packet.verb is Verb.REAP:
                self.reap(packet.run)

    def fork(self, packet: Packet) -> None:
        """Fork a child that waits for its payload, and hand its pidfd to the worker before it can start."""
        try:
            pid = os.fork()
        except OSError as error:
            for descriptor in packet.descriptors:
                os.close(descriptor)
            control.send(self.control, Packet(Verb.REFUSED, packet.run, text=str(error)))
            return
        if pid == 0:
            self.be_child(*packet.descriptors)
        for descriptor in packet.descriptors:
            os.close(descriptor)
        self.children[packet.run] = pid
        pidfd = os.pidfd_open(pid)
        control.send(self.control, Packet(Verb.FORKED, packet.run, pid, descriptors=(pidfd,)))
        os.close(pidfd)

    def be_child(self, channel: int, output: int, tickets: int | None = None) -> Never:
        """In the fork: leave all that is the template's, then run one payload; with tickets, as many as there are."""
        try:
            self.control.close()
            self.own.close()
            os.setsid()
            kernel.die_with_parent(self.pid)
            kernel.become_subreaper()
            os.dup2(output, 1)
            os.dup2(output, 2)
            channel = kernel.make_private(channel, self.private)
            if tickets is None:
                os.close(output)
            else:
                output = kernel.make_private(output, self.private)
                tickets = kernel.make_private(tickets, self.private)
            kernel.prefer_as_oom_victim()
            for number, handler in self.signals:
                set_signal(number, handler)
            memory.bound(self.max_memory_bytes)
            if tickets is None:
                run_one(channel, self.runner, self.max_return_bytes, self.warm_up)
            serve(channel, output, tickets, self.runner, self.max_return_bytes)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(EXIT_CANNOT_REPLY)

    def reap(self, run: int) -> None:
        """Reap a child that has ended and whose group is dead, kill what it left behind, and say how it ended."""
        status = os.waitpid(self.children.pop(run), 0)[1]
        self.sweep()
        control.send(self.control, Packet(Verb.REAPED, run, status))

    def sweep(self) -> None:
        """Kill what runs have left behind in sessions of its own, and look again while there is something, later and
        later while it is the same.

        A living child is the sub-reaper of all that descends from it, so an orphan here is one of a run that has ended.
        """
        if orphans := self.orphans():
            kernel.kill_families(self.orphans)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        is_old, self.left = orphans == self.left, orphans
        again_seconds = min(2 * self.waits_seconds, LONGEST_SWEEP_SECONDS) if is_old else SWEEP_SECONDS
        self.wait_at_most(again_seconds if orphans else 0.0)

    def orphans(self) -> list[int]:
        """What runs have left behind: children that neither were forked for a run nor stem from the import.

        What a stranger leaves behind when it ends is in a session that no run's descendant can be in.
        """
        found = set(self.own.look()).difference(self.strangers, self.children.values())
        if not found:
            return []
        self.strangers.update(pid for pid in found if os.getsid(pid) in self.sessions)
        return [pid for pid in found if pid not in self.strangers]

    def wait_at_most(self, seconds: float) -> None:
        """Bound the wait for the next packet; 0 waits for ever."""
        if seconds == self.waits_seconds:
            return
        self.waits_seconds = seconds
        kernel.bound_wait(self.control, seconds)

    def die(self, code: int) -> Never:
        """Take everything that descends from here along."""
        kernel.kill_every_descendant()
        os._exit(code)
