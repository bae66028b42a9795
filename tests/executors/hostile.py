"""Tasks that mean harm, or behave as if they did. Each is bounded by itself, should what is tested fail."""

import ctypes
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import zlib

SECONDS = 120.0
"""Longer than any test waits."""
_libc = ctypes.CDLL(None)


def bomb_name(marker: str) -> bytes:
    """What the processes of the bomb with this marker are called in /proc/PID/comm, and no others."""
    return b"bomb-%08x" % zlib.crc32(marker.encode())


def bombs(most: int, marker: str) -> None:
    """A fork bomb that never has more than `most` processes: each goes on forking while others are killed, does not
    hear TERM, and each third one is in a session of its own. `marker` is made once there are as many."""
    _libc.prctl(15, bomb_name(marker), 0, 0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end = time.monotonic() + SECONDS
    most += _threads_of_all()
    while time.monotonic() < end:
        if _threads_of_all() >= most:
            os.close(os.open(marker, os.O_CREAT))
            time.sleep(0.01)
        elif os.fork() == 0 and os.getpid() % 3 == 0:
            os.setsid()
    os._exit(0)


def _threads_of_all() -> int:
    """How many there are on this machine, a figure that costs the kernel nothing."""
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].partition("/")[2])


def allocates(most_bytes: int) -> str:
    """Memory without end, all of it written to; no more than the machine can bear."""
    kept = []
    for _ in range(most_bytes >> 24):
        kept.append(b"x" * (1 << 24))
    return "had it all"


def blocks_all_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(SECONDS)


def stops_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(SECONDS)


def changes_groups(marker: str, with_environment: bool) -> None:
    """A process in a group of its own, one in a session of its own, and a daemon; this is their sub-reaper no more."""
    _libc.prctl(36, 0, 0, 0, 0)
    pids = [subprocess.Popen(["sleep", "60"], process_group=0).pid]
    environment = None if with_environment else {}
    pids.append(subprocess.Popen(["sleep", "60"], start_new_session=True, env=environment).pid)
    daemon = ["sh", "-c", "setsid sleep 60 >&- 2>&- & echo $!"]
    pids.append(int(subprocess.run(daemon, stdout=subprocess.PIPE, check=True).stdout))
    with open(marker, "w") as file:
        file.write(" ".join(map(str, pids)))


def replies_endlessly(size: int, announced: bool = True) -> None:
    """What no reply can be, on every socket and pipe beyond the usual three."""
    block = memoryview(b"x" * (1 << 20))
    for number in _private_descriptors():
        first = b"\xff\xff\xff\xff" if announced else b"{"
        left = size
        data = memoryview(first + bytes(block))
        try:
            while left > 0:
                left -= os.write(number, data)
                data = block
        except OSError:
            continue
    time.sleep(SECONDS)


def _private_descriptors() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            mode = os.fstat(int(name)).st_mode
        except OSError:
            continue
        if int(name) > 2 and (stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)):
            found.append(int(name))
    return found


def replies_in_drops(seconds: float) -> None:
    """The beginning of a reply, and then nothing for long."""
    for number in _private_descriptors():
        os.write(number, b"\0\0\1")
    time.sleep(seconds)


def closes_all() -> None:
    os.closerange(0, 4096)
    time.sleep(SECONDS)


def fills_its_log(size: int) -> str:
    for _ in range(size >> 20):
        os.write(1, b"y" * (1 << 20))
    return "wrote it all"


def kills_its_parent(number: int = signal.SIGKILL) -> None:
    os.kill(os.getppid(), number)
    time.sleep(SECONDS)


def kills_its_parent_and_answers() -> str:
    os.kill(os.getppid(), signal.SIGKILL)
    return "it was not me"


def kills_its_parent_and_exits() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(3)


def kills_its_group() -> None:
    os.killpg(0, signal.SIGKILL)


def starts_threads(count: int) -> str:
    for _ in range(count):
        threading.Thread(target=time.sleep, args=(SECONDS,)).start()
    return "returned over them"


def opens_everything() -> None:
    """All descriptors that it may have; no more than 600, to be quick."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))
    kept = []
    try:
        while True:
            kept += socket.socketpair()
    except OSError:
        time.sleep(0)
    sys.exit(f"had {len(kept)}")


def bound_of_a_grandchild() -> int:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[1])"
    return int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)


def takes_the_tickets() -> str:
    """What the runs behind it in the same child would need to begin."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if "eventfd" in os.readlink(f"/proc/self/fd/{name}"):
                while True:
                    os.eventfd_read(int(name))
        except OSError:
            continue
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"
