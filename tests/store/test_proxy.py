"""The tests' proxy: what it takes for a claim, an end or an enqueue is one, and the answer that it swallows is that of
a change that was committed."""

from importlib.resources import files
from itertools import count

import psycopg
import pytest

from reproq.lifecycle import Claim, Status, Success, decide
from reproq.output import Output
from reproq.store.db import Database
from reproq.store.deadline import ImpatientConnection
from reproq.store.finalising import Finalisation
from reproq.store.requests import ClaimRuns, FinalizeRuns
from tests.store.conversation import Conversation, Said, said_in
from tests.store.proxy import Proxy
from tests.store.rows import HASH, TOKEN, insert


def claim() -> ClaimRuns:
    tokens = count(1)
    return ClaimRuns(queues=("default",), limit=5, draw_token=lambda: next(tokens), worker_id="w-1", lease_seconds=30.0)


def claimed(proxy: Proxy, request: ClaimRuns) -> int:
    """How many runs a claim over a connection of its own is told of; none where its answer never came."""
    database = Database(proxy.dsn, "tests")
    try:
        return len(request.run(database, None).claimed)
    except psycopg.OperationalError:
        return 0
    finally:
        database.close()


def statuses(pg: psycopg.Connection) -> list[str]:
    return [status for (status,) in pg.execute("SELECT status FROM task_runs ORDER BY id").fetchall()]


def test_each_statement_is_known_by_words_that_only_its_file_has() -> None:
    texts = {path.name: path.read_bytes() for path in (files("reproq.store") / "sql").iterdir()}
    found = {name: said for name, text in texts.items() if (said := said_in(text))}
    assert found == {
        "claim.sql": Said.CLAIM,
        "finalize.sql": Said.FINALIZE,
        "enqueue.sql": Said.ENQUEUE,
        "enqueue_many.sql": Said.ENQUEUE,
        "requeue.sql": Said.ENQUEUE,
    }


def test_a_claim_whose_answer_is_lost_is_stored_and_the_next_one_answered(proxy: Proxy, pg: psycopg.Connection) -> None:
    insert(pg.cursor(), Status.READY)
    proxy.lose_answer(Said.CLAIM)
    request = claim()
    assert claimed(proxy, request) == 0
    assert (statuses(pg), proxy.lost) == (["RUNNING"], {Said.CLAIM: 1})
    insert(pg.cursor(), Status.READY)
    assert claimed(proxy, request) == 2, "with what the try before has claimed unheard, and this one has given back"


def test_an_answer_that_acknowledges_nothing_is_not_the_one_that_is_lost(proxy: Proxy, pg: psycopg.Connection) -> None:
    proxy.lose_answer(Said.CLAIM)
    request = claim()
    assert claimed(proxy, request) == 0
    assert not proxy.lost
    insert(pg.cursor(), Status.READY)
    assert claimed(proxy, request) == 0
    assert proxy.lost == {Said.CLAIM: 1}


@pytest.mark.parametrize("output", [Output(), Output(b"printed", b"", 7)], ids=["one statement", "a transaction"])
def test_the_answer_to_the_commit_is_lost_where_the_end_is_stored_in_a_transaction(
    proxy: Proxy, pg: psycopg.Connection, output: Output
) -> None:
    run_id = insert(pg.cursor(), Status.RUNNING)
    verdict = decide(Claim(run_id, TOKEN, 1, 0, 0, 3, HASH), Success("1"))
    proxy.lose_answer(Said.FINALIZE)
    database = Database(proxy.dsn, "tests")
    with pytest.raises(psycopg.OperationalError):
        FinalizeRuns((Finalisation(run_id, TOKEN, verdict, attempt=1, output=output),), "w-1").run(database, None)
    database.close()
    assert (statuses(pg), proxy.lost) == (["SUCCESSFUL"], {Said.FINALIZE: 1})


def test_silenced_connections_hear_nothing_more_and_new_ones_work(proxy: Proxy) -> None:
    database = Database(proxy.dsn, "tests", answer_seconds=30.0)
    connection = database.connected()
    assert isinstance(connection, ImpatientConnection)
    connection.answer_seconds = 0.3  # of this one no answer comes any more; of the next one it will, in its own time
    assert proxy.silence(60) == 1
    with pytest.raises(psycopg.OperationalError, match="did not answer within"), database.statement() as cursor:
        cursor.execute("SELECT 1")
    with database.statement() as cursor:
        cursor.execute("SELECT 1")
    database.close()


def test_a_message_in_pieces_is_the_message() -> None:
    text = b"CALL reproq_insert_run(1)\0"
    start, query = b"\0\0\0\x08\0\x03\0\0", b"Q" + (len(text) + 4).to_bytes(4) + text
    heard = Conversation()
    for byte in start + query:
        heard.asks(bytes([byte]))
    assert heard.in_question == {Said.ENQUEUE}
    answer = b"C\0\0\0\x09CALL\0" + b"Z\0\0\0\x05I"
    assert [said for byte in answer for said in heard.answers(bytes([byte]))] == [Said.ENQUEUE]
    assert heard.in_question == set()
