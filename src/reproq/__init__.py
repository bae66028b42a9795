"""The engine: spec, state machine, store, executors, worker. It knows no Django."""

from typing import Final

__version__: Final = "0.1.0.dev0"
