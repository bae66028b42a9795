"""What executors do where nobody says otherwise. The knobs of a worker have defaults of their own."""

from typing import Final

TIMEOUT_SECONDS: Final = 900.0
KILL_GRACE_SECONDS: Final = 5.0
OUTPUT_BYTES: Final = 65536
MAX_RETURN_BYTES: Final = 1024 * 1024
IMPORT_TIMEOUT_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 1.0
"""How long no run is taken after one could not be given a process: what was given back would come at once again."""
IDLE_SECONDS: Final = 0.03
"""A child that was forked ahead warms itself when it has waited so long: where runs wait in a row, none does."""
