"""Fixtures for all rooms. A real PostgreSQL always; a database of its own for every test that asks for one."""

pytest_plugins = [
    "tests.plugins.databases",
    "tests.plugins.django_database",
    "tests.plugins.no_skips",
    "tests.plugins.ordinary_user",
]
