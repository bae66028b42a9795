"""The OPTIONS of one backend, parsed once: what enqueue and get_result need of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from reproq.config import load
from reproq.store.runs import CONTINUE
from reproq_django.checks import problems
from reproq_django.conf import DEFAULT_DATABASE, options_of, source_of
from reproq_django.task_options import TaskOptions, parse_option


@dataclass(frozen=True, slots=True)
class Settled:
    """`database` is an alias of DATABASES; `defaults` apply to tasks that say nothing themselves."""

    database: str
    task_aliases: Mapping[str, str]
    defaults: TaskOptions
    max_payload_bytes: int


def settle(alias: str, params: dict[str, Any]) -> Settled:
    """Read one entry of TASKS. Raises ImproperlyConfigured with everything that a system check finds."""
    if found := problems(alias, params):
        raise ImproperlyConfigured("\n".join(_line(problem) for problem in found))
    options = options_of(params)
    config = load(source_of(alias, params))
    backoff = options.get("backoff")
    return Settled(
        database=options.get("database", DEFAULT_DATABASE),
        task_aliases=options.get("task_aliases") or {},
        defaults=TaskOptions(
            max_attempts=config.max_attempts,
            backoff=None if backoff is None else parse_option("backoff", backoff),
            timeout=config.timeout if "timeout" in options else None,  # else the worker's own
            on_lost_contact=CONTINUE,
        ),
        max_payload_bytes=config.max_payload_bytes,
    )


def _line(problem: CheckMessage) -> str:
    return f"{problem.id}: {problem.msg} {problem.hint or ''}".strip()
