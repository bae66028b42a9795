"""Whether a lease outlives one lost connection, by its parts. Who connects says for how long, and to how many
hosts.

The parts follow one another where a connection dies just after a renewal: the next one is asked a heartbeat later, its
answer is waited for, all hosts are tried before one answers, and what must stop before its lease ends gets its grace.
"""

from dataclasses import dataclass

from reproq.config import Config

LONGEST_SHARE = 0.5
"""Of a lease, for one answer: who waits longer for a connection that has died would be late with its renewals."""


@dataclass(frozen=True, slots=True)
class Margin:
    """What one lost connection may take before the leases are renewed, in seconds, beside the lease.

    `answer` is `database_timeout` within its bound; `enough` is a sum that a longer lease would never exceed.
    """

    heartbeat: float
    answer: float
    connect_timeout: float
    hosts: int
    kill_grace: float
    lease: float
    enough: float

    @property
    def sum(self) -> float:
        """All parts."""
        return self.heartbeat + self.answer + self.connect_timeout * self.hosts + self.kill_grace

    @property
    def is_short(self) -> bool:
        """Whether the lease may end before it is renewed."""
        return self.sum >= self.lease

    def __str__(self) -> str:
        hosts = f"{self.hosts} host{'' if self.hosts == 1 else 's'}"
        return (
            f"heartbeat {self.heartbeat:g} s + database_timeout {self.answer:g} s + connect_timeout "
            f"{self.connect_timeout:g} s x {hosts} + kill_grace {self.kill_grace:g} s = {self.sum:g} s, "
            f"lease {self.lease:g} s"
        )

    @property
    def remedy(self) -> str:
        """What a short lease costs, and what to do."""
        return (
            f"one lost connection may cost the leases of running runs; raise lease over {self.enough:g}s, or lower "
            "heartbeat, database_timeout, kill_grace or the address's connect_timeout"
        )


def answer_seconds(config: Config) -> float:
    """How long a worker waits for an answer of the database: `database_timeout`, and half a lease at most."""
    return min(config.database_timeout, config.lease * LONGEST_SHARE)


def margin_of(config: Config, connect_timeout: float, hosts: int) -> Margin:
    """The parts of a configuration, for an address with so many hosts, each tried for `connect_timeout` seconds."""
    connecting = connect_timeout * hosts
    return Margin(
        heartbeat=config.heartbeat,
        answer=answer_seconds(config),
        connect_timeout=connect_timeout,
        hosts=hosts,
        kill_grace=config.kill_grace,
        lease=config.lease,
        enough=config.heartbeat + config.database_timeout + connecting + config.kill_grace,
    )
