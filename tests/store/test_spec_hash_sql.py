"""The SQL twin of the spec hash, and the trigger that keeps a spec as it was: in a real PostgreSQL."""

import json
import random
import time
from collections.abc import Callable
from itertools import batched
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import reproq_django
from reproq.errors import BadSpec, InvalidArguments
from reproq.spec import hash_document, make_spec

SQL = Path(reproq_django.__file__).parent / "sql"
PUBLISHED = json.loads((Path(__file__).parent.parent / "vectors" / "spec_hash.json").read_text())

Stored = tuple[str, str, str]  # task_path, args, kwargs

# One refusal would end a whole batch, so each document is tried by itself.
TRY_HASH = """
CREATE FUNCTION try_hash(task_path text, args text, kwargs text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN reproq_spec_hash(task_path, args::json, kwargs::json);
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    RETURN 'refused';
END $$
"""


@pytest.fixture
def db(empty_pg: psycopg.Connection) -> psycopg.Connection:
    empty_pg.execute((SQL / "spec_hash.sql").read_text())
    empty_pg.execute(TRY_HASH)
    return empty_pg


def hashes_in_sql(db: psycopg.Connection, documents: list[Stored]) -> list[str]:
    """The hash of each document, or `refused`; some hundreds in one query."""
    found: list[str] = []
    for batch in batched(documents, 500):
        columns = [list(column) for column in zip(*batch, strict=True)]
        rows = db.execute(
            "SELECT try_hash(task_path, args, kwargs) FROM unnest(%s::text[], %s::text[], %s::text[])"
            " WITH ORDINALITY AS given (task_path, args, kwargs, n) ORDER BY n",
            columns,
        )
        found += [row[0] for row in rows]
    return found


def hash_in_python(document: Stored) -> str:
    try:
        return hash_document(*document)
    except BadSpec:
        return "refused"


def assert_both_agree(db: psycopg.Connection, documents: list[Stored]) -> None:
    pairs = zip(documents, hashes_in_sql(db, documents), map(hash_in_python, documents), strict=True)
    different = [(document, sql, python) for document, sql, python in pairs if sql != python]
    assert not different, f"{len(different)} differ, the shortest: {min(different, key=lambda d: len(str(d)))}"


# Documents as other programs might write them: odd spellings, equal keys, escapes, now and then something refused.


def any_number(rnd: random.Random) -> str:
    match rnd.randrange(8):
        case 0:
            return str(rnd.randrange(-20, 20))
        case 1:
            return str(rnd.randrange(-(10**30), 10**30))
        case 2:
            return repr(rnd.uniform(-1e3, 1e3))
        case 3:
            return repr(rnd.uniform(0.9, 1.1) * 10.0 ** rnd.choice([15, 16, 17, 22, 23]))
        case 4:
            return f"{rnd.randrange(-(10**17), 10**17)}e{rnd.randrange(-340, 310)}"
        case 5:
            return f"{rnd.randrange(10)}.{rnd.randrange(10**20):020d}E{rnd.choice('+-')}{rnd.randrange(306)}"
        case 6:
            return rnd.choice(["-0", "-0.0", "0e9", "0.0e-999", "5e-324", "3e-324", "2.2250738585072014e-308", "1E5"])
        case _:
            return f"{rnd.getrandbits(53)}.{rnd.choice(['0', '5', '50000000000000000000001'])}"


ALPHABET = 'aaabbZ_ 019.,:[{\\"/\b\f\n\r\t\x01\x1f\x7f\x85é\u0301ß\u2028\ue000\uff5e\ufffe😀\U0010ffff'
FRAGMENTS = [json.dumps(c)[1:-1] for c in ALPHABET] + [json.dumps(c, ensure_ascii=False)[1:-1] for c in ALPHABET]
REFUSED_FRAGMENTS = ["\\u0000", "\\ud800", "\\udc00", "\\ude00\\ud83d"]


def any_string(rnd: random.Random) -> str:
    parts = rnd.choices(FRAGMENTS, k=rnd.choice([0, 1, 1, 2, 3, 8]))
    if rnd.random() < 0.005:
        parts.append(rnd.choice(REFUSED_FRAGMENTS))
    return '"' + "".join(parts) + '"'


def any_object(rnd: random.Random, levels: int) -> str:
    members = [f"{any_string(rnd)}{blank(rnd)}:{any_value(rnd, levels - 1)}" for _ in range(rnd.randrange(5))]
    return "{" + ",".join(members) + blank(rnd) + "}"


def any_array(rnd: random.Random, levels: int) -> str:
    return "[" + ",".join(any_value(rnd, levels - 1) for _ in range(rnd.randrange(5))) + blank(rnd) + "]"


def any_value(rnd: random.Random, levels: int) -> str:
    makers: list[Callable[[], str]] = [
        lambda: any_number(rnd),
        lambda: any_string(rnd),
        lambda: rnd.choice(["null", "true", "false"]),
    ]
    if levels > 0:
        makers += [lambda: any_object(rnd, levels), lambda: any_array(rnd, levels)]
    return blank(rnd) + rnd.choice(makers)() + blank(rnd)


def blank(rnd: random.Random) -> str:
    return rnd.choice(["", "", "", " ", "\n\t", "\r "])


def documents_by_chance(count: int, start: int) -> list[Stored]:
    rnd = random.Random(start)
    return [(f"app.tasks.t{rnd.randrange(9)}", any_array(rnd, 3), any_object(rnd, 3)) for _ in range(count)]


def documents_by_hypothesis(count: int) -> list[Stored]:
    """Specs of Python values. They are gathered first and compared in batches: a query for each would take minutes."""
    gathered: list[Stored] = []
    values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=12,
    )

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(values, max_size=3), st.dictionaries(st.text(max_size=4), values, max_size=3))
    def gather(args: list[object], kwargs: dict[str, object]) -> None:
        try:
            spec = make_spec("app.tasks.gathered", args, kwargs)
        except InvalidArguments:
            return
        assert spec.spec_hash == hash_document(spec.task_path, spec.args_json, spec.kwargs_json)
        gathered.append((spec.task_path, spec.args_json, spec.kwargs_json))

    gather()
    return gathered


# The two agree


def test_the_vectors_hash_in_sql_as_published_or_are_refused(db: psycopg.Connection) -> None:
    vectors = PUBLISHED["vectors"]
    found = hashes_in_sql(db, [(v["task_path"], v["args_text"], v["kwargs_text"]) for v in vectors])
    expected = [vector.get("spec_hash", "refused") for vector in vectors]
    names = [vector["name"] for vector in vectors]
    assert dict(zip(names, found, strict=True)) == dict(zip(names, expected, strict=True))


def test_the_given_document_of_the_canonicaliser_hashes_as_given_in_sql(db: psycopg.Connection) -> None:
    published = PUBLISHED["canonicaliser"][0]
    form = "reproq_canonical(%s::json)"
    row = db.execute(f"SELECT encode(sha256(convert_to({form}, 'UTF8')), 'hex')", [published["document_text"]])
    assert row.fetchone() == (published["sha256"],)


@pytest.mark.parametrize(
    ("document", "form"),
    [
        (" 10 ", "10"),
        ("\n-0.0\t", "0x0000000000000000"),
        (' "\\u00e9\\/" ', '"é/"'),
        (" null ", "null"),
        (" true", "true"),
        ('{"b":[1e0],"a":{},"b":[]}', '{"a":{},"b":[]}'),
    ],
)
def test_any_json_value_has_a_canonical_form_in_sql(db: psycopg.Connection, document: str, form: str) -> None:
    assert db.execute("SELECT reproq_canonical(%s::json)", [document]).fetchone() == (form,)


@pytest.mark.slow
def test_python_and_sql_agree_on_twenty_thousand_documents_of_other_programs(db: psycopg.Connection) -> None:
    assert_both_agree(db, documents_by_chance(20_000, start=1))


@pytest.mark.slow
def test_python_and_sql_agree_on_generated_python_values(db: psycopg.Connection) -> None:
    assert_both_agree(db, documents_by_hypothesis(2_500))


@pytest.mark.parametrize(
    "setting",
    [
        "extra_float_digits = 0",
        "extra_float_digits = -15",
        "standard_conforming_strings = off",
        "bytea_output = 'escape'",
        "client_encoding = 'LATIN9'",
        "array_nulls = off",
        "plan_cache_mode = force_custom_plan",
        "work_mem = '64kB'",
    ],
)
def test_session_settings_do_not_change_the_hash(db: psycopg.Connection, setting: str) -> None:
    documents = documents_by_chance(1_000, start=2)
    if "encoding" in setting:
        documents = [document for document in documents if "".join(document).isascii()]
    expected = hashes_in_sql(db, documents)
    db.execute(f"SET {setting}")
    assert hashes_in_sql(db, documents) == expected == [hash_in_python(document) for document in documents]


def test_fewer_float_digits_change_nothing_for_ten_thousand_documents(db: psycopg.Connection) -> None:
    db.execute("SET extra_float_digits = 0")
    assert_both_agree(db, documents_by_chance(10_000, start=3))


# Installed anywhere, called from anywhere


HOSTILE = """
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.json_typeof(json) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'array'::text $$;
CREATE FUNCTION hostile.to_json(text) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT '"x"'::json $$;
CREATE FUNCTION hostile.length(text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 9999 $$;
CREATE FUNCTION hostile.encode(bytea, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x'::text $$;
CREATE FUNCTION hostile.cat(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x'::text $$;
CREATE FUNCTION hostile.reproq_canonical(json, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x'::text $$;
CREATE OPERATOR hostile.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.cat);
CREATE DOMAIN hostile.float8 AS text;
CREATE DOMAIN pg_temp.float8 AS text;
CREATE DOMAIN pg_temp.json AS text;
"""


def test_a_hostile_search_path_does_not_change_the_hash(empty_pg: psycopg.Connection) -> None:
    empty_pg.execute('CREATE SCHEMA "our own"; SET search_path = "our own"')
    empty_pg.execute((SQL / "spec_hash.sql").read_text())
    empty_pg.execute(HOSTILE)
    empty_pg.execute("SET search_path = hostile, pg_catalog")
    call = 'SELECT "our own".reproq_spec_hash(%s, %s::pg_catalog.json, %s::pg_catalog.json)'
    document = ("a.b", '[1.5,{"b":"x","a":null}]', '{"k":-0}')
    assert empty_pg.execute(call, document).fetchone() == (hash_document(*document),)


def test_the_functions_outlive_a_change_of_their_schemas_name(db: psycopg.Connection) -> None:
    db.execute("ALTER SCHEMA public RENAME TO renamed")
    row = db.execute("SELECT renamed.reproq_spec_hash('a.b', '[1]', '{}')").fetchone()
    assert row == (hash_document("a.b", "[1]", "{}"),)


def test_installing_twice_is_no_error(db: psycopg.Connection) -> None:
    db.execute("CREATE TABLE t (args json); CREATE INDEX ON t (reproq_spec_hash('a.b', args, '{}'))")
    db.execute((SQL / "spec_hash.sql").read_text())


def test_the_hash_serves_in_an_index_and_a_generated_column(db: psycopg.Connection) -> None:
    db.execute(
        "CREATE TABLE t (args json, hash text GENERATED ALWAYS AS (reproq_spec_hash('a.b', args, '{}')) STORED);"
        "INSERT INTO t SELECT format('[%s]', i)::json FROM generate_series(1, 100) AS i;"
        "CREATE INDEX by_hash ON t (reproq_spec_hash('a.b', args, '{}')); SET enable_seqscan = off"
    )
    query = "SELECT args::text, hash FROM t WHERE reproq_spec_hash('a.b', args, '{}') = %s"
    wanted = hash_document("a.b", "[42]", "{}")
    assert db.execute(query, [wanted]).fetchall() == [("[42]", wanted)]
    assert "by_hash" in str(db.execute("EXPLAIN " + query, [wanted]).fetchall())


def test_both_functions_are_immutable_strict_and_parallel_safe(db: psycopg.Connection) -> None:
    flags = "SELECT proname, provolatile, proisstrict, proparallel FROM pg_proc WHERE proname LIKE 'reproq%' ORDER BY 1"
    assert db.execute(flags).fetchall() == [
        ("reproq_canonical", "i", True, "s"),
        ("reproq_spec_hash", "i", True, "s"),
    ]


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "says"),
    [
        ("{}", "{}", psycopg.errors.InvalidParameterValue, "args must be a JSON array"),
        ("[]", "null", psycopg.errors.InvalidParameterValue, "kwargs a JSON object, got null"),
        ("[" * 101 + "]" * 101, "{}", psycopg.errors.InvalidParameterValue, "deeper than 100 levels"),
        (f"[-{'1' * 4301}]", "{}", psycopg.errors.NumericValueOutOfRange, "4301 digits"),
        ("[1e400]", "{}", psycopg.errors.NumericValueOutOfRange, "1e400"),
        ("[1e-400]", "{}", psycopg.errors.NumericValueOutOfRange, "1e-400"),
        ('["\\u0000"]', "{}", psycopg.errors.UntranslatableCharacter, "Unicode"),
        ('["\\ud800"]', "{}", psycopg.errors.InvalidTextRepresentation, "json"),
    ],
)
def test_a_refusal_in_sql_says_what_is_wrong(
    db: psycopg.Connection, args: str, kwargs: str, error: type[psycopg.Error], says: str
) -> None:
    with pytest.raises(error, match=says):
        db.execute("SELECT reproq_spec_hash('a.b', %s::json, %s::json)", [args, kwargs])


@pytest.mark.slow
@pytest.mark.parametrize(
    "args",
    [
        json.dumps(list(range(150_000))),
        "[" * 99 + json.dumps("x" * 1_000_000) + "]" * 99,
        json.dumps([{"id": i, "name": f"row {i}", "ok": True} for i in range(25_000)]),
    ],
    ids=["many values", "deep", "many objects"],
)
def test_a_mebibyte_of_arguments_is_hashed_in_seconds(db: psycopg.Connection, args: str) -> None:
    started = time.monotonic()
    found = db.execute("SELECT reproq_spec_hash('a.b', %s::json, '{}')", [args]).fetchone()
    assert time.monotonic() - started < 10  # measured: 0.1 to 0.7
    assert found == (hash_document("a.b", args, "{}"),)


# A spec does not change


@pytest.fixture
def run(db: psycopg.Connection) -> psycopg.Connection:
    """One stored run, in as much of the table as the trigger needs."""
    db.execute(
        "CREATE TABLE task_runs (id bigint, task_path text, args json, kwargs json, spec_hash text, status text);"
        "INSERT INTO task_runs VALUES (41, 'a.b', '[1, 2]', '{}', reproq_spec_hash('a.b', '[1, 2]', '{}'), 'READY')"
    )
    db.execute((SQL / "spec_immutable.sql").read_text())
    return db


@pytest.mark.parametrize(
    "change",
    [
        "task_path = 'a.c'",
        "args = '[1, 3]'",
        "args = '[1,2]'",
        "kwargs = '{\"a\":1}'",
        "spec_hash = repeat('0', 64)",
        "spec_hash = NULL",
        "status = 'RUNNING', args = '[]'",
    ],
)
def test_a_change_of_a_spec_is_refused_with_run_and_remedy(run: psycopg.Connection, change: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match="spec of run 41 cannot be changed") as caught:
        run.execute(f"UPDATE task_runs SET {change}")
    assert "Replay the run to make a new one" in str(caught.value.diag.message_hint)
    assert run.execute("SELECT args::text, status FROM task_runs").fetchone() == ("[1, 2]", "READY")


@pytest.mark.parametrize("change", ["status = 'RUNNING'", "args = args, kwargs = kwargs, spec_hash = spec_hash"])
def test_an_update_that_leaves_the_spec_alone_passes(run: psycopg.Connection, change: str) -> None:
    assert run.execute(f"UPDATE task_runs SET {change}").rowcount == 1


def test_installing_the_trigger_twice_leaves_one(run: psycopg.Connection) -> None:
    run.execute((SQL / "spec_immutable.sql").read_text())
    assert run.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone() == (1,)
