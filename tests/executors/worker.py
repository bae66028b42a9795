"""A process like a worker, to be killed: runs one family of processes through an executor, for ever.

Its arguments: the file for the family's pids, and `spawn` for another executor than fork. Once the run is under way it
prints the pid of the one process that it keeps for itself: its template, or its guard.
"""

import os
import selectors
import sys

from reproq.child.kernel import become_subreaper
from reproq.executors.environment import template_environment
from reproq.executors.fork import ForkExecutor
from reproq.executors.spawn import SpawnExecutor
from tests.executors.driver import payload


def main(file: str, name: str = "fork") -> None:
    become_subreaper()
    base = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = template_environment(base)
    executor: ForkExecutor | SpawnExecutor = ForkExecutor("tasks:setup", environment=environment)
    if name == "spawn":
        executor = SpawnExecutor("cold", environment=environment)
    selector = selectors.DefaultSelector()
    executor.start(selector)
    executor.submit((1, 1), payload("tasks.family", f'["{file}"]'))
    told = False
    while True:
        for found, _ in selector.select(0.05):
            found.data()
        executor.tick()
        if not told and os.path.exists(file):
            told = True
            print(executor.template_pid if isinstance(executor, ForkExecutor) else executor.guard_pid, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
