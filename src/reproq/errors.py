"""Every exception of the engine, and the public classes that stored errors name by their path.

A path written into `task_runs.errors` is a contract: the classes under "kinds" never move and are never renamed.
"""

from typing import Final

MIGRATE: Final = "python manage.py migrate (with --database ALIAS where the backend names one)"
"""The remedy of `NotMigrated`."""


class ReproqError(Exception):
    """Base of every error that Reproq raises on purpose. Its text names thing, value, bound and remedy."""


class ConfigurationError(ReproqError):
    """Settings, flags or environment hold values that cannot work; one text lists all of them."""


class AddressRefused(ConfigurationError):
    """The address of the database cannot be parsed, or a server refuses it; only a person can mend that."""


class NotPostgreSQL(ConfigurationError):
    """The alias of `DATABASES` that is to hold the runs leads to another kind of database."""


class InvalidArguments(ReproqError, ValueError):
    """The arguments of a run cannot be hashed or stored. `path` says where, as in `args[0].items[3]`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class InvalidSchedule(ReproqError, ValueError):
    """A schedule that could not fire, or not as meant. `field` is the field of the periodic task to correct."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class ProtocolError(ReproqError):
    """A payload or reply breaks the executor protocol."""


class UnknownTask(ReproqError, ImportError):
    """A task path does not lead to a Task found at exactly its own module path."""


class NotMigrated(ReproqError):
    """The database has no Reproq tables, or older ones than this version needs."""


class DatabaseUnavailable(ReproqError):
    """The database cannot be reached, or does not do what it is asked, for a reason that waiting may mend."""


class MissingGrant(ConfigurationError):
    """The role lacks a right that a command needs; its text says how it is given. Only a person can mend that."""


class PgCronUnusable(ReproqError):
    """The server has no pg_cron that could be used from this database; its text says why, and what to run."""


class PgCronRefused(ReproqError):
    """Some schedules cannot be fired by pg_cron as they are meant; its text lists them, each with the remedy."""

    def __init__(self, message: str, lines: list[str]) -> None:
        super().__init__("\n".join([message, *lines]))


class RunNotFound(ReproqError, LookupError):
    """No run has this id or spec hash."""


class RunLocked(ReproqError):
    """Runs could not be changed by hand or read in time: somebody's transaction locks them. Its text says whose."""


# The kinds of error that have no Python exception of their own (contract 2). Stored by path; they never move.


class RunTimedOut(ReproqError):
    """Kind `timeout`: the attempt ran longer than its timeout and was killed."""


class ChildDied(ReproqError):
    """Kind `child_died`: the child ended by a signal or with an exit code before it replied, or killed its template."""


class BadReply(ReproqError):
    """Kind `bad_reply`: the child broke the protocol."""


class LeaseExpired(ReproqError):
    """Kind `lease_expired`: the worker stopped renewing its claim, and another worker rescued the run."""


class BadReturn(ReproqError):
    """Kind `bad_return`: the task succeeded, but its value cannot be stored. It is never run again for that."""


class SpecTampered(ReproqError):
    """Kind `spec_tampered`: the stored arguments do not match the stored hash; the task was not run."""


class BadSpec(ReproqError):
    """Kind `bad_spec`: the stored spec is outside the domain of the hash; the task was not run."""


class RunCancelled(ReproqError):
    """Kind `cancelled`: someone asked for the run to be cancelled."""


class RunExpired(ReproqError):
    """Kind `expired`: the run was not started before it expired."""


class ReleasedTooOften(ReproqError):
    """Kind `released`: the run was given back unfinished `max_releases` times, which counts as a failure."""
