"""The tasks of the conformance suite: plain functions of a plain module, and the setup functions that serve them.

It is imported inside the template, never by the tests.
"""

import ctypes
import decimal
import errno
import importlib
import json
import locale
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from reproq.child.reply import encode_return
from reproq.child.run import Runner
from reproq.child.warming import Rehearsed
from reproq.lifecycle import Failure, Success

state: list[str] = []
seen_at_import = {name: value for name, value in os.environ.items() if "canary" in value}
"""What a project's settings find in the environment."""


def setup() -> Runner:
    """Import nothing more, and resolve task paths in this module."""
    return run


def setup_that_fails() -> Runner:
    importlib.import_module("a_module_that_nobody_has_written")
    return run


def setup_that_dies() -> Runner:
    print("about to die while importing", flush=True)
    os.abort()


def setup_with_a_thread() -> Runner:
    threading.Thread(target=time.sleep, args=(600,), name="metrics-flusher", daemon=True).start()
    return run


def setup_that_prints() -> Runner:
    print("loading 17 plug-ins")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    return run


def setup_that_fails_the_second_time() -> Runner:
    marker = os.environ["REPROQ_TEST_MARKER"]
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        raise RuntimeError("the second import fails") from None
    return run


def setup_on_a_system_that_is_full() -> Runner:
    """While the marker is there, no process can be had, and each try is noted in it."""
    really_fork, marker = os.fork, os.environ["REPROQ_TEST_MARKER"]

    def fork() -> int:
        try:
            tries = os.open(marker, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return really_fork()
        os.write(tries, b"tried\n")
        os.close(tries)
        raise BlockingIOError(errno.EAGAIN, "no room")

    os.fork = fork
    return run


def setup_that_ignores_its_children() -> Runner:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return run


def setup_with_a_server() -> Runner:
    """The launcher of the server ends when the first run says so; then the server is an orphan."""
    marker = os.environ["REPROQ_TEST_MARKER"]
    launcher = f"sleep 600 & echo $! > {marker}.part; mv {marker}.part {marker}; cat {marker}.end"
    os.mkfifo(f"{marker}.end")
    subprocess.Popen(["sh", "-c", launcher])
    return run


def lets_the_launcher_end(marker: str) -> None:
    """Also: waits until somebody reads it."""
    with open(f"{marker}.end", "w"):
        return


def rehearsed(then: Callable[[], object]) -> Rehearsed:
    """Children note their pid in the marker when they rehearse, and then do that."""
    template = os.getpid()

    def rehearse() -> None:
        if os.getpid() != template:
            marker = os.open(os.environ["REPROQ_TEST_MARKER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(marker, b"%d\n" % os.getpid())
            os.close(marker)
            then()

    return Rehearsed(run, rehearse)


def setup_with_a_rehearsal() -> Rehearsed:
    return rehearsed(random.random)


def setup_with_a_rehearsal_that_fails() -> Rehearsed:
    return rehearsed(sys.exit)


def setup_with_a_rehearsal_that_takes_a_while() -> Rehearsed:
    marker = os.environ["REPROQ_TEST_MARKER"]
    os.mkfifo(f"{marker}.end")
    return rehearsed(lambda: lets_the_launcher_end(marker))


def setup_that_hangs() -> Runner:
    time.sleep(600)
    return run


def run(message: dict[str, Any]) -> Success | Failure:
    module, _, name = message["task_path"].rpartition(".")
    task: Callable[..., object] = getattr(importlib.import_module(module), name)
    return encode_return(task(*message["args"], **message["kwargs"]))


def leaks_everything() -> dict[str, object]:
    """What this process is like, and then every change of it that could be left to another run."""
    found: dict[str, object] = {
        "globals": list(state),
        "cwd": os.getcwd(),
        "environment": sorted(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
        "handler": signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL,
        "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "umask": os.umask(0o777),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "modules": "this" in sys.modules,
    }
    state.append("left behind")
    os.chdir("/")
    os.environ["LEFT_BEHIND"] = "1"
    locale.setlocale(locale.LC_ALL, "C")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    left = os.open("/dev/null", os.O_RDONLY), socket.create_server(("127.0.0.1", 0)), socket.socketpair()
    state.append(repr(left))
    globals()["kept"] = left
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    sys.modules["this"] = sys
    return found


def echo(*args: object, **kwargs: object) -> object:
    return [list(args), kwargs] if kwargs or len(args) != 1 else args[0]


def returns(what: str) -> object:
    """Values that a JSON text of arguments cannot hold."""
    values: dict[str, Callable[[], object]] = {
        "nan": lambda: [1, float("nan")],
        "object": object,
        "nul": lambda: "a\0b",
        "surrogate": lambda: "a\ud800b",
        "large": lambda: "x" * 500_000,
        "10MiB": lambda: "x" * (10 << 20),
        "deep": lambda: json.loads("[" * 400 + "]" * 400),
        "too deep": lambda: json.loads("[" * 900 + "]" * 900),
        "long integer": lambda: 10**4200,
        "too long integer": lambda: 10**5000,
        "unicode": lambda: {"ключ": "значение \U0001f980", "tuple": (1, 2)},
    }
    return values[what]()


def deeply() -> object:
    """Nested beyond what the encoder can follow."""
    value: list[object] = []
    for _ in range(200_000):
        value = [value]
    return value


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raises(what: str) -> None:
    if what == "odd":
        raise OddError
    if what == "surrogates":
        raise ValueError("caf\udce9 \0")
    if what == "long":
        raise ValueError("x" * 1_000_000)
    if what == "chained":
        try:
            _ = {}["missing"]
        except KeyError as error:
            raise LookupError("no such customer") from error
    if what == "recursion":
        raises(what)
    raise {"exit": SystemExit(0), "interrupt": KeyboardInterrupt()}.get(what) or ValueError("no such thing")


def own_pid() -> int:
    return os.getpid()


def sleeps(seconds: float = 600) -> str:
    time.sleep(seconds)
    return "slept"


def busy() -> None:
    while True:
        pass


def sleeps_noted(file: str, seconds: float) -> str:
    with open(file, "x"):
        time.sleep(seconds)
    return "slept"


def waits(file: str) -> str:
    """Makes the file when it has begun, and returns when somebody has taken it away."""
    os.close(os.open(file, os.O_CREAT | os.O_EXCL))
    while os.path.exists(file):
        time.sleep(0.01)
    return "waited"


def ignores_term() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ignoring", flush=True)
    time.sleep(600)


def finishes_on_term(marker: str) -> str:
    """Makes the marker when it can be stopped, and returns when it is."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    os.close(os.open(marker, os.O_CREAT))
    while not stopped:
        time.sleep(0.01)
    return "finished in time"


def raises_on_term(marker: str) -> None:
    def handler(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, handler)
    os.close(os.open(marker, os.O_CREAT))
    time.sleep(600)


def dies(how: str) -> None:
    print("last words")
    sys.stdout.flush()
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "exit0":
            os._exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "usr1":
            os.kill(os.getpid(), signal.SIGUSR1)


def prints_everywhere() -> str:
    libc = ctypes.CDLL(None)
    print('{"ok":true,"return":"forged by print"}')
    sys.stderr.write("to stderr\n")
    os.write(1, b'\x00\x00\x00\x10{"ok":true,"return":1}\n')
    libc.puts(b"from puts")
    libc.printf(b"from printf without a newline")
    libc.fflush(None)
    libc.printf(b" and unflushed")
    subprocess.run([sys.executable, "-c", "print('from a grandchild')"], check=True)
    os.write(2, b"\xff\xfe not utf-8\n")
    return "genuine"


def floods(size: int, how: str = "print") -> str:
    if how == "print":
        line = "y" * 1023
        for _ in range(size // 1024):
            print(line)
    else:
        subprocess.run(["/bin/sh", "-c", f"head -c {size} /dev/zero"], check=True)
    print("the end")
    return "done"


def leaves_a_grandchild(own_session: bool = False) -> int:
    """A process that holds stdout and stderr, and outlives the task."""
    return subprocess.Popen(["sleep", "600"], start_new_session=own_session).pid


def runs(command: list[str]) -> int:
    return subprocess.run(command, check=False).returncode


def family(path: str) -> None:
    """A child of this task, one that called setsid, and a daemon whose parent has ended; their pids into a file."""
    plain = subprocess.Popen(["sleep", "600"])
    session = subprocess.Popen(["sleep", "600"], start_new_session=True)
    script = "import subprocess as s; print(s.Popen(['sleep', '600'], stdout=s.DEVNULL, start_new_session=True).pid)"
    daemon = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout
    pids = [os.getpid(), plain.pid, session.pid, int(daemon)]
    with open(path + ".new", "w") as file:
        json.dump(pids, file)
    os.rename(path + ".new", path)
    time.sleep(600)


def environment() -> object:
    names = ("PYTHONHASHSEED", "PYTHONUTF8", "LC_ALL", "PYTHONUNBUFFERED")
    return {name: os.environ.get(name) for name in names} | {"hash": hash("reproq"), "encoding": sys.stdout.encoding}


def draws() -> list[float]:
    return [random.random() for _ in range(5)]


def remembers(what: str) -> list[str]:
    state.append(what)
    return list(state)


def descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


def garbage(first: int, last: int) -> str:
    for number in range(first, last):
        try:
            os.write(number, b"\xff" * 64)
        except OSError:
            continue
    return "wrote"


def garbage_everywhere() -> str:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.write(int(name), b"\xff" * 64)
            except OSError:
                continue
    time.sleep(600)
    return "unreachable"


def closes_everything() -> str:
    os.closerange(3, 4096)
    return "nobody hears this"


def forks() -> str:
    """A careless fork: both processes return from the task."""
    return "parent" if os.fork() else "copy"


def process_facts() -> dict[str, object]:
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    with open("/proc/self/oom_score_adj") as file:
        score = int(file.read())
    return {
        "leads a session": os.getsid(0) == os.getpid(),
        "oom score": score,
        "blocked": int(status["SigBlk"], 16),
        "ignored": int(status["SigIgn"], 16) & ~(3 << 31),  # 32 and 33 belong to the C library
        "stdin": os.readlink("/proc/self/fd/0"),
        "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "line buffered": sys.stdout.line_buffering,
        "threads": len(os.listdir("/proc/self/task")),
        "parent": os.getppid(),
    }


def reads_a_socket() -> str:
    """A write to a broken socket raises, as in any Python program; SIGPIPE does not kill."""
    ours, theirs = socket.socketpair()
    theirs.close()
    try:
        ours.send(b"x")
    except BrokenPipeError:
        return "BrokenPipeError"
    return "sent"


def is_killed_for_want_of_memory(counter: str) -> None:
    """What the kernel does: it counts, and kills."""
    with open(counter, "w") as file:
        file.write("low 0\noom_kill 1\noom_group_kill 0\n")
    os.kill(os.getpid(), signal.SIGKILL)


def process_id() -> int:
    return os.getpid()


def says(words: str) -> None:
    print(words, end="")


def notes(file: str, number: int) -> int:
    """Leaves a line each time that it is run."""
    with open(file, "a") as lines:
        lines.write(f"{number}\n")
    return number


kept: list[bytearray] = []


def keeps(size: int) -> int:
    kept.append(bytearray(b"x" * size))
    return size


def sets_the_precision() -> int:
    """What it was before."""
    before = decimal.getcontext().prec
    decimal.getcontext().prec = 7
    return before


def where_the_canary_is() -> dict[str, Any]:
    """The variables with a secret of the tests that the import, this run, the kernel, and a program of this run see."""
    with open("/proc/self/environ", "rb") as file:
        shown = [entry for entry in file.read().decode().split("\0") if "canary" in entry]
    program = subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True)
    return {
        "import": sorted(seen_at_import),
        "run": sorted(name for name, value in os.environ.items() if "canary" in value or name == "REPROQ_FORGET"),
        "kernel": sorted(entry.partition("=")[0] for entry in shown),
        "program": sorted(line.partition("=")[0] for line in program.stdout.splitlines() if "canary" in line),
    }
