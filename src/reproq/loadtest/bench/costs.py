"""What a drain costs: reads the counters of the server and the CPU of its processes and of ours, before and after."""

from dataclasses import dataclass
from pathlib import Path

import psycopg

from reproq.loadtest.bench import watch
from reproq.loadtest.bench.figures import Costs
from reproq.loadtest.bench.place import Place, ask
from reproq.loadtest.bench.processes import index_entries, program_of
from reproq.store.db import opened


@dataclass(frozen=True, slots=True)
class Counters:
    """What the server has counted at a moment of its own clock."""

    moment_s: float
    commits: int
    deadlocks: int
    wal_bytes: int
    wal_place: str


class Meter:
    """Make it when the runs are there and the workers wait; `stop` it when the runs have ended, and `read` it when the
    workers have, too."""

    def __init__(self, place: Place, pids: list[int]) -> None:
        ((backend_pid, _),) = ask(place.database, "server")
        self._place = place
        self._pids = pids
        self._server = watch.local_server(backend_pid)
        self._used = watch.used_by(pids)
        self._server_used = self._server_seconds()
        self._before = self._counters()

    @property
    def began_s(self) -> float:
        """When it was made, by the database's clock."""
        return self._before.moment_s

    def stop(self) -> None:
        """Note the CPU that was used; a process that has ended shows none."""
        self._used = watch.used_by(self._pids) - self._used
        now = self._server_seconds()
        self._server_used = None if now is None or self._server_used is None else now - self._server_used

    def read(self, runs: int, asked: int) -> tuple[Costs, int]:
        """What 1,000 runs cost, and how many deadlocks there were. `asked` commits were those of whoever watched."""
        after, before, thousands = self._counters(), self._before, runs / 1000
        entries = self._entries(before, after)
        costs = Costs(
            commits=(after.commits - before.commits - asked - 1) / thousands,  # one for having asked before
            wal_bytes=(after.wal_bytes - before.wal_bytes) / thousands,
            index_entries=None if entries is None else entries / thousands,
            worker_cpu_seconds=self._used.own / thousands,
            children_cpu_seconds=self._used.below / thousands,
            server_cpu_seconds=None if self._server_used is None else self._server_used / thousands,
        )
        return costs, after.deadlocks - before.deadlocks

    def _server_seconds(self) -> float | None:
        return self._server.used_seconds() if self._server else None

    def _counters(self) -> Counters:
        """Over a connection of its own, with ours closed: a session has handed in what it counted when it has ended."""
        self._place.database.close()
        with opened(self._place.config.dsn, "reproq bench counters") as database:
            return Counters(*ask(database, "counters")[0])

    def _entries(self, before: Counters, after: Counters) -> int | None:
        """Entries that indexes were given; None where the log cannot be read from here."""
        program = program_of("pg_waldump", self._server.folder) if self._server else None
        try:
            ((data_folder,),) = ask(self._place.database, "data_folder")
        except psycopg.errors.InsufficientPrivilege:
            return None
        return index_entries(program, Path(data_folder), before.wal_place, after.wal_place) if program else None
