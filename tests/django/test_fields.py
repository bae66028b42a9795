"""`ExactJSONField`: what goes in comes out, to the character; everything else that Django may ask of a field."""

import json

import pytest
from django.apps import apps
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import JSONField, Q
from django.db.models.functions import Cast
from django.test.utils import CaptureQueriesContext

from reproq_django.fields import ExactJSONField

pytestmark = pytest.mark.usefixtures("db")

HASH = "0" * 64
EXACT = [
    {"z": 1, "a": {"y": None, "b": True}},
    [1e16, 1e22, -0.0, 5e-324, 0.1],
    [10**400, -1],
    ["\0", "\ud800", "é", "\u2028", "𝔘"],
    {},
    [],
    "text",
    "1",
    0,
    False,
]


def model(name="TaskRun"):
    """A model of ours; importing the module would need the apps before they are set up."""
    return apps.get_model("reproq_django", name)


def make(**values):
    return model().objects.create(task_path="x.y", spec_hash=HASH, **values)


@pytest.mark.parametrize("value", EXACT, ids=repr)
def test_a_value_comes_back_as_it_was_sent(value):
    run = make(args=value)
    found = model().objects.get(pk=run.pk).args
    assert json.dumps(found) == json.dumps(value)
    assert json.dumps(model().objects.values_list("args", flat=True).get()) == json.dumps(value)
    assert json.dumps(model().objects.values("args").get()) == json.dumps({"args": value})


def test_the_text_itself_is_kept(pg):
    make()
    pg.execute("DELETE FROM task_runs")
    text = '{"b" : 1e16, "a":[ -0.0 ]}'
    pg.execute("INSERT INTO task_runs (task_path, kwargs) VALUES ('x.y', %s::json)", [text])
    (run,) = model().objects.raw("SELECT id, kwargs::text FROM task_runs")
    assert list(run.kwargs) == ["b", "a"]
    assert pg.execute("SELECT kwargs::text FROM task_runs").fetchone() == (text,)


def test_bulk_create_and_update_work():
    model().objects.bulk_create(model()(task_path="x.y", spec_hash=HASH, kwargs={"n": n}) for n in range(3))
    assert [run.kwargs["n"] for run in model().objects.order_by("id")] == [0, 1, 2]
    job = model("PeriodicTask").objects.create(name="nightly", cron_expr="0 1 * * *", task_path="x.y", args=[1])
    job.args = [{"z": 1, "a": 2}]
    job.save()
    model("PeriodicTask").objects.update(kwargs={"b": 1, "a": -0.0})
    job.refresh_from_db()
    assert (json.dumps(job.args), json.dumps(job.kwargs)) == ('[{"z": 1, "a": 2}]', '{"b": 1, "a": -0.0}')


def test_columns_that_nobody_set_have_their_database_defaults():
    run = make()
    run.refresh_from_db()
    assert (run.args, run.kwargs, run.return_value, run.worker_ids) == ([], {}, None, [])


def test_the_default_manager_leaves_large_texts_out_until_they_are_read():
    make(args=["large"])
    with CaptureQueriesContext(connection) as queries:
        run = model().objects.get()
        assert run.get_deferred_fields() == {"args", "kwargs", "return_value"}
        assert run.args == ["large"]
    assert len(queries) == 2
    assert '"args"' not in queries[0]["sql"]


def test_distinct_union_and_order_need_no_equality_of_json():
    make(args=[1])
    make(args=[1])
    everything = model().objects.defer(None)
    assert len(everything.distinct()) == 2
    assert list(model().objects.order_by().values_list("args", flat=True).distinct()) == [[1]]
    assert len(everything.union(everything.all())) == 2
    assert everything.filter(task_path__contains="x").count() == 2


def test_isnull_is_the_one_lookup():
    make()
    assert model().objects.filter(return_value__isnull=True).count() == 1
    assert model().objects.filter(Q(return_value__isnull=False)).count() == 0


@pytest.mark.parametrize("lookup", ["args", "args__exact", "args__contains", "args__0", "args__key__in", "args__gt"])
def test_other_lookups_are_refused(lookup):
    with pytest.raises(FieldError):
        model().objects.filter(**{lookup: [1]}).exists()


def test_the_documented_cast_looks_inside():
    make(kwargs={"order": 7})
    make(kwargs={"order": 8})
    inside = model().objects.annotate(document=Cast("kwargs", JSONField()))
    assert inside.get(document__order=7).kwargs == {"order": 7}


def test_dumpdata_and_loaddata_bring_everything_back():
    value = {"z": 1e16, "a": [-0.0, "\0 \ud800", 10**30]}
    run = make(args=[value], kwargs=value)
    for form in ("json", "jsonl", "python"):
        text = serializers.serialize(form, model().objects.defer(None))
        model().objects.all().delete()
        for restored in serializers.deserialize(form, text):
            restored.save()
        again = model().objects.get(pk=run.pk)
        assert json.dumps([again.args, again.kwargs]) == json.dumps([[value], value])
        assert (again.nonce, again.worker_ids, again.return_value) == (run.nonce, [], None)


def test_validation_refuses_what_json_cannot_hold():
    field = ExactJSONField()
    field.clean([1], None)
    for value in ({1, 2}, float("nan")):
        with pytest.raises(ValidationError, match="not storable as JSON"):
            field.clean(value, None)


@pytest.mark.parametrize("column", ["args", "kwargs", "task_path", "spec_hash"])
def test_the_spec_of_a_stored_run_cannot_be_changed(column):
    make(args=[1])
    new = {"args": [2], "kwargs": {"a": 1}, "task_path": "x.z", "spec_hash": "1" * 64}[column]
    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        model().objects.update(**{column: new})
    run = model().objects.defer(None).get()
    run.waiting_reason = "the rest can"
    run.save()
