"""A process like a worker, to be killed: runs one family of processes through a ForkExecutor, for ever.

Its argument: the file for the family's pids. It prints its template's pid once the run is under way.
"""

import os
import selectors
import sys

from reproq.child.kernel import become_subreaper
from reproq.executors.environment import template_environment
from reproq.executors.fork import ForkExecutor
from tests.executors.driver import payload


def main(file: str) -> None:
    become_subreaper()
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ["PYTHONPATH"]}
    executor = ForkExecutor("tasks:setup", environment=template_environment(base))
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
            print(executor.template_pid, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
