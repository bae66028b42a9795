"""The least that a process of ours needs to start: the interpreter may need its libraries found, wherever it lies."""

import os

BARE_ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
