"""The admin's pages of runs: what they show, how they find it, and that nothing stored is ever markup."""

import re

import pytest

from reproq.lifecycle import Status
from reproq.store.runs import result_id
from tests.django.admin_site import ALL, RUNS, page

XSS = "<script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"


def listed(text):
    """The ids of the runs on a page."""
    return [int(one) for one in re.findall(rf'href="{RUNS}(\d+)/change/', text)]


def test_the_list_shows_runs_the_newest_first(staff, run):
    ids = [run(status) for status in Status]
    assert listed(page(staff("view_taskrun"))) == ids[::-1]


@pytest.mark.parametrize("status", list(Status))
def test_the_status_filter_shows_that_status_alone(staff, run, status):
    ids = {one: run(one) for one in Status}
    assert listed(page(staff("view_taskrun"), status=status.value)) == [ids[status]]


def test_filters_by_queue_and_by_the_newest_error(staff, run):
    mail = run(queue_name="mail")
    old = '[{"kind": "timeout"}, {"kind": "exception"}]'
    failed = run(Status.FAILED, errors=old)
    client = staff("view_taskrun")
    assert listed(page(client, queue="mail")) == [mail]
    assert listed(page(client, error="exception")) == [failed]
    assert listed(page(client, error="timeout")) == []
    assert listed(page(client, queue="mail", status="READY")) == [mail]


@pytest.mark.parametrize("asked", [{"status": "x"}, {"error": "' OR 1"}, {"queue": "\0"}, {"before": "x"}, {"p": "y"}])
def test_a_filter_that_makes_no_sense_is_no_server_error(staff, run, asked):
    run()
    page(staff("view_taskrun"), **asked)


@pytest.mark.parametrize("lookup", ["args__contains", "task_path__regex", "status__exact", "replay_of"])
def test_look_ups_by_hand_are_refused(staff, lookup):
    assert staff("view_taskrun").get(RUNS, {lookup: "1"}).status_code == 400


def test_search_finds_by_id_result_id_task_hash_queue_and_worker(staff, run):
    digest = "ab12" * 16
    others = [run(task_path="app.other", spec_hash="0" * 64) for _ in range(3)]
    wanted = run(
        Status.SUCCESSFUL, task_path="shop.Tasks.greet", spec_hash=digest, worker_ids=["w-9"], queue_name="mail"
    )
    stored = run.read(wanted)
    client = staff("view_taskrun")
    for term in (
        *(str(wanted), f"#{wanted}", result_id(wanted, stored.nonce), "tasks.gr", "shop.Tasks.greet"),
        *(digest, digest[:12], digest[:20], digest[:6], "w-9", "mail"),
    ):
        assert listed(page(client, q=term)) == [wanted], term
    assert listed(page(client, q=result_id(wanted, stored.nonce + 1))) == []
    for term in ("nothing", str(wanted + 10_000), "9" * 19, "9" * 30, "%", "\\", "'", XSS, "\0"):
        assert set(listed(page(client, q=term))) <= {*others, wanted}
    assert listed(page(client, q="%")) == []


def test_search_and_filters_work_together(staff, run):
    run(task_path="shop.greet")
    failed = run(Status.FAILED, task_path="shop.greet")
    assert listed(page(staff("view_taskrun"), q="greet", status="FAILED")) == [failed]


def test_a_running_run_is_found_by_its_worker(staff, run):
    wanted = run(Status.RUNNING)
    assert listed(page(staff("view_taskrun"), q="w-1")) == [wanted]


def test_a_page_beyond_the_last_one_says_so_and_shows_the_first(staff, run):
    ids = [run() for _ in range(51)]
    text = page(staff("view_taskrun"), p="99")
    assert "There is no page 99 here" in text
    assert listed(text) == ids[:0:-1]


def test_the_window_moves_to_older_runs(staff, run, monkeypatch):
    monkeypatch.setattr("reproq_django.admin.scope.WINDOW", 3)
    ids = [run() for _ in range(7)]
    client = staff("view_taskrun")
    text = page(client)
    assert listed(text) == ids[:3:-1]
    assert "the newest 3 runs" in text
    assert f"?before={ids[4]}" in text
    text = page(client, before=ids[4])
    assert listed(text) == ids[3:0:-1]
    assert f"before run {ids[4]}" in text
    text = page(client, before=ids[1])
    assert listed(text) == ids[:1]
    assert "Older runs" not in text


def test_what_waits_is_found_wherever_it_lies(staff, run, monkeypatch):
    monkeypatch.setattr("reproq_django.admin.scope.WINDOW", 3)
    old = {status: run(status) for status in (Status.SCHEDULED, Status.READY, Status.RUNNING)}
    for _ in range(4):
        run(Status.FAILED)
    client = staff("view_taskrun")
    for status, run_id in old.items():
        assert listed(page(client, status=status.value)) == [run_id]


@pytest.mark.lesson("task-arguments-rendered-unescaped")
def test_nothing_that_is_stored_becomes_markup(staff, run):
    error = f'[{{"kind": "{XSS}", "exception_class": "{XSS}", "message": "{XSS}", "traceback": "{XSS}", "attempt": 1}}]'
    document = f'["{XSS}"]'
    columns = {"task_path": XSS, "args": document, "kwargs": f'{{"{XSS}": "{XSS}"}}', "queue_name": XSS}
    columns |= {"backend": XSS, "waiting_reason": XSS, "worker_ids": [XSS], "errors": error}
    ids = [
        run(Status.SUCCESSFUL, **columns, return_value=document),
        run(Status.FAILED, **columns),
        run(Status.RUNNING, **columns, worker_id=XSS),
        run(queue_name=XSS, task_path=XSS),
    ]
    client = staff(*ALL)
    texts = [page(client), page(client, queue=XSS), page(client, q=XSS), page(client, error="exception")]
    texts += [page(client, f"{RUNS}{run_id}/change/") for run_id in ids]
    texts += [page(client, f"{RUNS}{ids[0]}/delete/"), page(client, f"{RUNS}{ids[0]}/history/")]
    for text in texts:
        assert "<script>alert" not in text
    assert ESCAPED in texts[0]
    for text in texts[4:6]:
        assert text.count(ESCAPED) >= 8


def test_what_cannot_be_seen_is_shown_as_an_escape(staff, run):
    document = r'["nul \u0000 lone \ud800 bidi \u202e", "é"]'
    run_id = run(args=document, task_path="evil\u202etxt")
    text = page(staff("view_taskrun"), f"{RUNS}{run_id}/change/")
    for shown in (r"nul \u0000 lone \ud800 bidi \u202e", "é", r"evil\u202etxt"):
        assert shown in text
    assert "\u202e" not in text + page(staff("view_taskrun"))


def test_large_documents_are_cut_and_the_page_says_so(staff, run):
    run_id = run(Status.SUCCESSFUL, args=f'["{"x" * 500_000}"]', return_value="1" * 6000)
    client = staff("view_taskrun")
    text = page(client, f"{RUNS}{run_id}/change/")
    assert len(text) < 100_000
    assert "only the first 20,000 characters are shown" in text
    assert len(page(client)) < 50_000


def test_the_list_does_not_read_the_large_columns(staff, run):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(3):
        run(Status.SUCCESSFUL)
    client = staff("view_taskrun")
    with CaptureQueriesContext(connection) as queries:
        page(client)
    (rows,) = [one["sql"] for one in queries if '"task_runs"."priority"' in one["sql"]]
    for name in ("return_value", "worker_ids"):
        assert name not in rows
    assert len(queries) <= 12


def test_a_run_is_read_only_and_only_a_finished_one_is_deleted(staff, run):
    ready, failed = run(), run(Status.FAILED)
    client = staff(*ALL, "change_taskrun", "add_taskrun")
    assert client.get(f"{RUNS}add/").status_code == 403
    assert client.post(f"{RUNS}{ready}/change/", {"status": "FAILED"}).status_code == 403
    assert client.post(f"{RUNS}{ready}/delete/", {"post": "yes"}).status_code == 403
    assert run.read(ready).status == "READY"
    assert client.post(f"{RUNS}{failed}/delete/", {"post": "yes"}).status_code == 302
    assert listed(page(client)) == [ready]
    assert staff("view_taskrun").post(f"{RUNS}{ready}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("run_id", ["0", "999999", "99999999999999999999999", "x", "-1"])
def test_a_run_that_does_not_exist_has_no_page(staff, run_id):
    client = staff("view_taskrun")
    assert "doesn’t exist" in page(client, f"{RUNS}{run_id}/change/")


def test_nobody_sees_runs_without_the_permission(staff, run, db):
    from django.test import Client

    run_id = run()
    for path in (RUNS, f"{RUNS}{run_id}/change/"):
        assert staff().get(path).status_code == 403
        assert Client().get(path).status_code == 302
