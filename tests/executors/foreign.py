"""The tasks of the suite as a program that knows no executor: payload on stdin, the value as its last line."""

import tasks

from reproq.child.program import answer

answer({f"tasks.{name}": task for name, task in vars(tasks).items() if callable(task)})
