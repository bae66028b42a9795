"""Fixtures for all rooms. A real PostgreSQL always; a database of its own for every test that asks for one."""

from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

pytest_plugins = [
    "tests.plugins.terminated",
    "tests.plugins.databases",
    "tests.plugins.django_database",
    "tests.plugins.alone",
    "tests.plugins.order",
    "tests.plugins.no_skips",
    "tests.plugins.ordinary_user",
]
