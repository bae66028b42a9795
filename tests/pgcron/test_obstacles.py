"""Whatever keeps pg_cron from being used is named, with what to run; asked of real servers."""

import psycopg
import pytest
from psycopg import conninfo

from tests.pgcron.conftest import DATABASE, started
from tests.plugins.databases import version


@pytest.fixture(scope="module")
def unloaded():
    """The programs of pg_cron are there, and the server does not load them."""
    yield from started({})


@pytest.fixture
def another(cron_server):
    """A second database of the server, in which pg_cron does not work."""
    with psycopg.connect(cron_server.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE another")
        yield cron_server.conninfo("another")
        connection.execute("DROP DATABASE another WITH (FORCE)")


@pytest.fixture
def app(cron, shop):
    """The address of an ordinary role, which owns nothing."""
    cron.execute("CREATE ROLE app LOGIN")
    cron.execute("GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO app")
    yield conninfo.make_conninfo(shop, user="app")
    cron.execute("DELETE FROM cron.job WHERE username = 'app'")
    cron.execute("DROP OWNED BY app; DROP ROLE app")


def test_not_installed_names_the_package(pgcron, dsn):
    said = pgcron(dsn, "install", code=1)
    if version() == 15:
        assert "pg_cron is not loaded by the server" in said
    else:
        assert f"not installed on the server; run there: apt-get install postgresql-{version()}-cron" in said
    assert "write shared_preload_libraries = 'pg_cron' and cron.database_name = 'reproq_test_" in said


def test_not_loaded_names_the_settings_and_the_restart(pgcron, unloaded):
    said = pgcron(unloaded.conninfo(DATABASE), "install", code=1)
    assert said == (
        "Error: pg_cron is not loaded by the server; write shared_preload_libraries = 'pg_cron' and "
        "cron.database_name = 'shop' into postgresql.conf, and restart the server\n"
    )


def test_another_database_is_named_with_both_ways_out_of_which_one_is_tried(pgcron, another, cron):
    said = pgcron(another, "status", code=1)
    assert "pg_cron works in the database shop, not in another; write cron.database_name = 'another'" in said
    remedy = said[said.index("SELECT cron.schedule_in_database") :].strip()
    cron.execute(remedy)
    made = cron.execute("SELECT database, command FROM cron.job WHERE jobname = 'reproq'").fetchone()
    assert made == ("another", "SELECT public.reproq_fire_due()")
    cron.execute("SELECT cron.unschedule('reproq')")


def test_no_extension_names_the_statement_which_then_helps(pgcron, shop, cron):
    cron.execute("BEGIN")
    cron.execute("DROP EXTENSION pg_cron")
    cron.execute("COMMIT")
    try:
        said = pgcron(shop, "install", code=1)
        assert said.endswith("as a superuser run there: CREATE EXTENSION pg_cron\n")
    finally:
        cron.execute("CREATE EXTENSION pg_cron")
        cron.execute("SELECT cron.schedule('somebody else''s', '0 3 * * 0', 'VACUUM')")
    pgcron(shop, "install")


def test_no_permission_names_the_grant_which_then_helps(pgcron, app, cron):
    said = pgcron(app, "install", code=1)
    assert "the role app may not use pg_cron; as a superuser run: " in said
    cron.execute(said.rsplit("run: ", 1)[1])
    assert pgcron(app, "install").count("added") == 2
    assert cron.execute("SELECT DISTINCT username FROM cron.job WHERE jobname LIKE 'reproq:%'").fetchall() == [("app",)]
    assert pgcron(app, "uninstall").count("removed") == 2


def test_a_role_that_may_not_read_settings_is_told_all_that_may_be_missing(pgcron, another, cron):
    cron.execute("CREATE ROLE reader LOGIN")
    try:
        said = pgcron(conninfo.make_conninfo(another, user="reader"), "install", code=1)
    finally:
        cron.execute("DROP ROLE reader")
    assert "as a superuser run CREATE EXTENSION pg_cron there, which says what is missing if" in said


def test_tables_that_are_too_old_are_told(pgcron, shop, cron):
    cron.execute("ALTER FUNCTION reproq_fire_due RENAME TO away")
    try:
        assert "have no function reproq_fire_due; run: python manage.py migrate" in pgcron(shop, "install", code=1)
    finally:
        cron.execute("ALTER FUNCTION away RENAME TO reproq_fire_due")


def test_a_deploy_that_says_if_supported_goes_on(pgcron, dsn):
    for command in ("install", "status", "uninstall"):
        assert pgcron(dsn, command, "--if-supported").startswith("pg_cron is not used: ")
