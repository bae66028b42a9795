"""What staff may do to runs: each action with a permission of its own, by POST alone, and written to the log."""

import pytest

from reproq.lifecycle import Status
from reproq.store import interventions
from reproq.store.runs import result_id
from tests.django.admin_site import ALL, RUNS, act, page
from tests.store.held import locked

ACTIONS = {"replay_runs": "replay_taskrun", "retry_runs": "retry_taskrun", "cancel_runs": "cancel_taskrun"}


def everything(pg):
    return pg.execute("SELECT run::text FROM task_runs AS run ORDER BY id").fetchall()


def test_replay_makes_a_new_run_of_the_same_spec(staff, run, pg):
    old = run(Status.SUCCESSFUL, args="[1, 2.50]", queue_name="mail", priority=7)
    text = act(staff("view_taskrun", "replay_taskrun"), "replay_runs", old)
    assert "1 replayed, each as a new run." in text
    new = run.read(pg.execute("SELECT max(id) FROM task_runs").fetchone()[0])
    assert (new.replay_of, new.status, new.spec_hash, new.queue_name, new.priority) == (
        *(old, "READY", run.read(old).spec_hash),
        *("mail", 7),
    )
    assert run.read(old).status == "SUCCESSFUL"


def test_retry_gives_a_failed_run_all_its_attempts_again_and_keeps_its_errors(staff, run):
    ids = [run(Status.FAILED), run(Status.SUCCESSFUL)]
    text = act(staff("view_taskrun", "retry_taskrun"), "retry_runs", *ids)
    assert "1 READY again. 1 left alone: not FAILED." in text
    one = run.read(ids[0])
    assert (one.status, one.failures, one.attempts, one.finished_at) == ("READY", 0, 1, None)
    assert one.errors == [{"kind": "exception"}]
    assert run.read(ids[1]).status == "SUCCESSFUL"


def test_a_retried_run_is_claimed_and_ends_like_any_other(staff, run, worker):
    from reproq.lifecycle import Success

    run_id = run(Status.FAILED)
    act(staff("view_taskrun", "retry_taskrun"), "retry_runs", run_id)
    worker.work(Success("3"))
    one = run.read(run_id)
    assert (one.status, one.attempts, one.failures, one.return_value) == ("SUCCESSFUL", 2, 0, "3")


def test_cancel_ends_what_has_not_started_asks_for_what_runs_and_leaves_the_finished(staff, run):
    ids = {status: run(status) for status in Status}
    text = act(staff("view_taskrun", "cancel_taskrun"), "cancel_runs", *ids.values())
    assert "4 cancelled, or about to be stopped by their workers. 3 left alone: finished already." in text
    early = (Status.WAITING, Status.SCHEDULED, Status.READY)
    for status, run_id in ids.items():
        one = run.read(run_id)
        assert one.status == ("CANCELLED" if status in early else status)
        assert (one.cancel_requested_at is not None) == (not status.is_finished)
        if status in early:
            assert [error["kind"] for error in one.errors] == ["cancelled"]
            assert one.finished_at is not None


def test_a_cancelled_run_is_a_failed_result_that_says_so(staff, db):
    from tests.django import tasks

    result = tasks.add.enqueue(1)
    act(staff("view_taskrun", "cancel_taskrun"), "cancel_runs", int(result.id.split("-")[0]))
    result.refresh()
    (error,) = result.errors
    assert (result.status, error.exception_class_path) == ("FAILED", "reproq.errors.RunCancelled")
    assert error.traceback == interventions.CANCELLED_EARLY


@pytest.mark.waits
@pytest.mark.parametrize("action", ["retry_runs", "cancel_runs"])
def test_an_action_on_a_run_whose_row_is_held_changes_nothing_and_says_whose_it_is(
    staff, run, pg, dsn, action, monkeypatch
):
    # Time for the second connection, which looks who is in the way, on a busy machine, too.
    monkeypatch.setattr("reproq_django.admin.actions.LOCK_SECONDS", 2.5)
    free, held = [run(Status.FAILED if action == "retry_runs" else Status.READY) for _ in range(2)]
    before = everything(pg)
    client = staff("view_taskrun", ACTIONS[action])
    with locked(dsn, [held]) as other:
        text, pid = act(client, action, free, held), other.info.backend_pid
    assert f"Nothing was changed: run {held} could not be written to within 2.5 s" in text
    assert f"the transaction of pid {pid} (" in text
    assert everything(pg) == before


def test_a_run_whose_row_is_held_is_not_deleted_and_its_page_says_so(staff, run, pg, dsn, monkeypatch):
    monkeypatch.setattr("reproq_django.admin.actions.LOCK_SECONDS", 0.5)
    held = run(Status.FAILED)
    client = staff(*ALL)
    with locked(dsn, [held]):
        answer = client.post(f"{RUNS}{held}/delete/", {"post": "yes"}, follow=True)
    text = answer.content.decode()
    assert answer.redirect_chain == [(f"{RUNS}{held}/change/", 302)]
    assert f"Nothing was changed: run {held} could not be written to" in text
    assert "was deleted successfully" not in text
    assert run.read(held).status == "FAILED"


@pytest.mark.lesson("actions-without-permission-checks")
@pytest.mark.parametrize(("action", "permission"), ACTIONS.items())
def test_an_action_needs_its_own_permission(staff, run, pg, action, permission):
    ids = [run(Status.FAILED), run(Status.READY)]
    before = everything(pg)
    others = [name for name in ALL if name != permission]
    client = staff(*others, "change_taskrun")
    assert f'value="{action}"' not in page(client)
    act(client, action, *ids)
    for run_id in ids:
        client.post(f"{RUNS}{run_id}/change/", {"CHANGE_FORM-action": action, "_selected_action": run_id})
    assert everything(pg) == before
    assert staff(permission).post(RUNS, {"action": action, "_selected_action": ids}).status_code == 403
    assert everything(pg) == before


@pytest.mark.lesson("get-that-changes-state")
def test_get_never_changes_a_run(staff, run, pg):
    ids = [run(status) for status in Status]
    client = staff(*ALL)
    before = everything(pg)
    for action in ACTIONS:
        for path in (RUNS, *(f"{RUNS}{run_id}/change/" for run_id in ids)):
            asked = {"action": action, "_selected_action": ids, "index": 0}
            client.get(path, asked)
            client.get(path, {"CHANGE_FORM-action": action, "_selected_action": ids[0]})
    for run_id in ids:
        client.get(f"{RUNS}{run_id}/delete/", {"post": "yes"})
    assert everything(pg) == before


@pytest.mark.lesson("get-that-changes-state")
def test_a_post_without_the_csrf_token_changes_nothing(staff, run, pg):
    from django.test import Client

    run_id = run()
    client = staff(*ALL, client=Client(enforce_csrf_checks=True))
    before = everything(pg)
    assert client.post(RUNS, {"action": "cancel_runs", "_selected_action": run_id}).status_code == 403
    assert everything(pg) == before


def test_who_did_what_is_in_djangos_log(staff, run):
    from django.contrib.admin.models import LogEntry

    ids = [run(Status.FAILED), run(Status.FAILED)]
    client = staff("view_taskrun", "retry_taskrun")
    act(client, "retry_runs", *ids)
    assert {(one.object_id, one.change_message) for one in LogEntry.objects.all()} == {
        (str(run_id), "Retried.") for run_id in ids
    }
    assert "Retried." in page(client, f"{RUNS}{ids[0]}/history/")


def test_more_runs_than_the_bound_are_refused_as_a_whole(staff, run, pg, monkeypatch):
    monkeypatch.setattr("reproq_django.admin.actions.MAX_ACTED", 2)
    ids = [run() for _ in range(3)]
    client = staff(*ALL)
    before = everything(pg)
    assert "More than 2 runs are selected" in act(client, "cancel_runs", ids[0], select_across=1)
    assert everything(pg) == before


def test_a_selection_is_never_deleted_as_a_whole(staff, run, pg):
    run_id = run(Status.FAILED)
    client = staff(*ALL)
    assert "delete_selected" not in page(client)
    act(client, "delete_selected", run_id, post="yes")
    assert run.read(run_id).status == "FAILED"


def test_a_run_has_its_actions_on_its_own_page_where_django_offers_that(staff, run):
    from django.contrib.admin import options

    if not hasattr(options, "ActionLocation"):  # Django 6.0
        return
    run_id = run()
    client = staff(*ALL)
    path = f"{RUNS}{run_id}/change/"
    assert 'value="cancel_runs"' in page(client, path)
    client.post(path, {"CHANGE_FORM-action": "cancel_runs", "_selected_action": run_id})
    assert run.read(run_id).status == "CANCELLED"


def test_the_pages_follow_the_database_of_the_backend(staff, second, run, pg):
    from django.db import connections
    from django.test import override_settings

    from tests.django.conftest import OURS

    here = run(task_path="app.here")
    there = connections[second]
    with there.cursor() as cursor:
        cursor.execute("INSERT INTO task_runs (id, task_path) VALUES (77, 'app.there') RETURNING nonce")
        nonce = cursor.fetchone()[0]
    client = staff(*ALL)
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"DATABASE": second}}}):
        text = page(client)
        assert "app.there" in text
        assert "app.here" not in text
        assert result_id(77, nonce) in page(client, f"{RUNS}77/change/")
        act(client, "cancel_runs", 77)
        with there.cursor() as cursor:
            cursor.execute("SELECT status FROM task_runs WHERE id = 77")
            assert cursor.fetchone() == ("CANCELLED",)
        client.post(f"{RUNS}77/delete/", {"post": "yes"})
        with there.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM task_runs")
            assert cursor.fetchone() == (0,)
    assert run.read(here).status == "READY"
