"""Says where bounds on memory do not do what somebody may expect of them."""

from reproq.config import Config
from reproq.telemetry.events import Telemetry


def warn_of_memory_bounds(config: Config, telemetry: Telemetry) -> None:
    """One line where `max_rss` does nothing, or only after `max_memory` has. Neither stops a worker."""
    if remedy := _remedy(config):
        telemetry.emit(
            "worker.memory_bounds",
            executor=config.executor,
            max_rss_bytes=config.max_rss,
            max_memory_bytes=config.max_memory,
            next=remedy,
        )


def _remedy(config: Config) -> str:
    if config.max_rss and config.executor != "pool":
        return "max_rss does nothing here, as only pool keeps children between runs; bound runs by max_memory"
    if 0 < config.max_memory <= config.max_rss:
        return "runs meet max_memory before their child is replaced for max_rss; set max_rss well below max_memory"
    return ""
