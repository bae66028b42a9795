"""The one place that connects: how, with which deadlines, and which errors mean "wait" rather than "stop"."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import conninfo, errors

from reproq.errors import MIGRATE, AddressRefused, ConfigurationError, DatabaseUnavailable, MissingGrant, NotMigrated
from reproq.store.addresses import fault_of
from reproq.store.deadline import ImpatientConnection
from reproq.store.poolers import STATEMENTS_LOST, is_pooled, mismatch, statements_lost
from reproq.store.statements import execute
from reproq.store.unreachable import each_host, reason

CONNECTION_DEFAULTS: Final = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",  # milliseconds
    "target_session_attrs": "read-write",  # of several hosts the primary; a standby alone is waited for
}
"""libpq parameters, never server settings: a pooler refuses those or leaks them to strangers."""

HOST_VARIABLES: Final = {"host": "PGHOST", "hostaddr": "PGHOSTADDR"}
"""What psycopg takes for a parameter that the address lacks."""

LOSS_STATES: Final = ("08", "57P01", "57P02", "57P03", "25006")
"""SQLSTATEs, or classes of them, that tell of the server, and so concern every connection to it."""

OUTAGE_STATES: Final = (
    *LOSS_STATES,
    *("53100", "53200", "53300", "40001", "40P01", "55P03"),
    *("57P05", "25P03", "25P04"),  # a timeout of the server's (or role's) has ended our session: connect again
)
"""All that waiting may mend, those too that concern one session or statement. No SQLSTATE at all means a broken
connection."""

REFUSALS: Final = (
    "authentication failed",
    "is not permitted to log in",
    "no password supplied",
    "does not exist",
    "no such database",  # PgBouncer's words, and so is the next
    "no such user",
    "no pg_hba.conf entry",
    "permission denied for database",
    "unsupported startup parameter",
    "invalid connection option",
    "invalid port number",
    "invalid integer value",
)
"""What libpq says, without an SQLSTATE, when waiting will not help."""


def address(dsn: str) -> str:
    """The address without its password, for people; nothing of one where a part of a password may be something else."""
    if fault_of(dsn) is not None:
        return "(an address that cannot be parsed)"
    parts = conninfo.conninfo_to_dict(dsn)
    names = ("host", "port", "dbname", "user", "service")
    return " ".join(f"{name}={parts[name]}" for name in names if parts.get(name)) or "(libpq's defaults)"


def check_address(dsn: str) -> None:
    """Raise AddressRefused for an address that libpq cannot parse, or only by taking a part of the password for
    host, port or name. Its text is not repeated: it may hold a password."""
    if (fault := fault_of(dsn)) is not None:
        raise AddressRefused(
            f"the database address cannot be parsed ({fault}); write it as postgresql://user:password@host:5432/name, "
            "with @ : / % in the password written as %40 %3A %2F %25"
        )


def connect_bounds(dsn: str, environment: Mapping[str, str]) -> tuple[float, int]:
    """For how many seconds each host of an address is tried, and how many hosts there are: where it names none, those
    that libpq's environment names. All that a service file names share the seconds of one. Raises AddressRefused."""
    check_address(dsn)
    params = CONNECTION_DEFAULTS | conninfo.conninfo_to_dict(dsn)
    named = [params.get(name, environment.get(variable, "")) for name, variable in HOST_VARIABLES.items()]
    try:
        seconds = conninfo.timeout_from_conninfo(params)
    except psycopg.ProgrammingError as error:
        raise AddressRefused(f"the database address {address(dsn)} has a {error}; write whole seconds") from None
    return float(seconds), max(str(hosts).count(",") for hosts in named) + 1


def is_outage(error: BaseException) -> bool:
    """Whether waiting may mend it: a broken connection, a restart, a fail-over, a full disk, a deadlock."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is not None:
        return error.sqlstate.startswith(OUTAGE_STATES)
    return isinstance(error, psycopg.OperationalError) and not is_refusal(error)


def is_lost(error: BaseException) -> bool:
    """Whether the server is away, or lets nobody in: not a deadlock, a full disk, or a timeout of one session."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return state is None or state.startswith(LOSS_STATES)


def is_refusal(error: psycopg.Error) -> bool:
    """Whether the server or libpq refused the address itself, so that only a person can mend it. Of several hosts each
    must have: the one that would let us in may be away just now."""
    if error.sqlstate is not None:
        return False
    return all(any(words in said for words in REFUSALS) for said in each_host(error))


def is_bad_row(error: BaseException) -> bool:
    """Whether one row of a batch was refused, so that the rest of the batch may still be stored.

    Class 54 are PostgreSQL's limits: too large for jsonb, nested deeper than its stack. P0 is what a trigger of the
    project's raises. A lone surrogate does not even reach the server.
    """
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError | UnicodeEncodeError):
        return True
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(("54", "P0"))


class Database:
    """One connection, made when it is first needed and again after it broke."""

    def __init__(
        self, dsn: str, application_name: str, *, answer_seconds: float = 0.0, pooler: str = "auto", part: str = ""
    ) -> None:
        """`answer_seconds`: how long to wait for each answer before the connection is given up; 0 waits for ever.
        `pooler`: whether one is in between, as the knob says it; then nothing is prepared. `part`: which of the parts
        that `reproq sql grants` knows is ours, for the remedy where a right is missing."""
        check_address(dsn)
        self.dsn = dsn
        self._application_name = application_name
        self._answer_seconds = answer_seconds
        self._pooler = pooler
        self._part = part
        self._connection: psycopg.Connection[Any] | None = None
        self.remark = ""
        """What is amiss with the way to the server, though it works; known from the first connection on."""

    def twin(self) -> "Database":
        """Another connection to the same place, made when it is first needed."""
        return Database(
            self.dsn,
            self._application_name,
            answer_seconds=self._answer_seconds,
            pooler=self._pooler,
            part=self._part,
        )

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor in a transaction of its own, committed at the end. A broken connection is dropped.

        Raises AddressRefused for a refused address, NotMigrated where our tables are missing, MissingGrant, and
        ConfigurationError where a pooler that must not be there loses what is prepared.
        """
        with self._mended() as connection, connection.transaction(), connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def statement(self) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor each of whose statements is a transaction of its own: one round trip where `transaction` takes
        three. Otherwise like `transaction`."""
        with self._mended() as connection, connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def _mended(self) -> Iterator[psycopg.Connection[Any]]:
        connection = self.connected()
        try:
            yield connection
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction) as error:
            raise NotMigrated(
                f"the database {address(self.dsn)} lacks what this version of Reproq needs "
                f"({error.diag.message_primary}); run: {MIGRATE}"
            ) from error
        except errors.InsufficientPrivilege as error:
            raise MissingGrant(
                f"the role {connection.info.user!r} of the database {address(self.dsn)} lacks a right: "
                f"{error.diag.message_primary}; let the owner of the tables run what this prints: "
                f"{self._grants(connection.info.user)}"
            ) from error
        except STATEMENTS_LOST as error:
            raise ConfigurationError(statements_lost(self._pooler, address(self.dsn), error)) from error
        except errors.ReadOnlySqlTransaction:
            self.close()  # a primary no more: whoever is one now is found by connecting again
            raise
        finally:
            if connection.closed or connection.broken:
                self.close()

    def _grants(self, role: str) -> str:
        if not self._part:
            return "reproq sql grants (with --producer, --worker or --operator, and the role)"
        return f"reproq sql grants --{self._part} {shlex.quote(role)}"

    def connected(self) -> psycopg.Connection[Any]:
        """The connection, in autocommit."""
        return self._connection or self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        given = conninfo.conninfo_to_dict(self.dsn)
        params = CONNECTION_DEFAULTS | {"application_name": self._application_name[:63]} | given
        try:
            connection = ImpatientConnection.connect(conninfo.make_conninfo("", **params), autocommit=True)
        except psycopg.OperationalError as error:
            if is_refusal(error):
                raise AddressRefused(
                    f"the database {address(self.dsn)} refuses us: {reason(error)}; correct the address or the server"
                ) from None
            raise
        except OSError as error:  # psycopg has no descriptor left to wait with: as if libpq had none to connect with
            raise psycopg.OperationalError(str(error)) from error
        connection.answer_seconds = self._answer_seconds
        try:
            if not self._goes_by_a_pooler(connection):
                self._bound_idleness(connection)
        except psycopg.Error:
            connection.close()  # it would prepare statements that a pooler loses
            raise
        self._connection = connection
        return connection

    def _goes_by_a_pooler(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether it keeps no state of ours, and is to be treated so."""
        pooled = is_pooled(connection)
        self.remark = mismatch(self._pooler, pooled, address(self.dsn))
        if self._pooler == "off" or (self._pooler == "auto" and not pooled):
            return False
        connection.prepare_threshold = None
        return True

    def _bound_idleness(self, connection: psycopg.Connection[Any]) -> None:
        """Where we vanish in the middle of a transaction, as with the network, the server shall not keep its locks
        until the kernel notices, two hours later. Nobody here is silent for as long as we wait for an answer."""
        if self._answer_seconds:
            milliseconds = max(1, int(self._answer_seconds * 1000))
            with connection.cursor() as cursor:
                execute(cursor, "bound_idleness", {"milliseconds": milliseconds})

    def host(self) -> str:
        """Of several hosts in the address the one that answers, for people; nothing where there is but one."""
        given = conninfo.conninfo_to_dict(self.dsn)
        if self._connection is None or "," not in str(given.get("host") or given.get("hostaddr") or ""):
            return ""
        try:
            return f"host {self._connection.info.host}, port {self._connection.info.port}"
        except psycopg.OperationalError:  # it broke just now
            return ""

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextmanager
def opened(dsn: str, application_name: str, *, part: str = "", answer_seconds: float = 0.0) -> Iterator[Database]:
    """A database for the length of one command, closed afterwards; `part` and `answer_seconds` as `Database` has them.

    Raises DatabaseUnavailable, with the address, when it cannot be reached, or refuses what waiting may mend: a command
    does not wait, a worker does.
    """
    database = Database(dsn, application_name, part=part, answer_seconds=answer_seconds)
    try:
        yield database
    except psycopg.OperationalError as error:
        what = "cannot be reached" if is_lost(error) else "does not do what it is asked"
        raise DatabaseUnavailable(f"the database {address(dsn)} {what}: {reason(error)}") from error
    finally:
        database.close()
