"""`ExactJSONField`: a PostgreSQL `json` column that keeps the text it was given, for arguments and return values.

Django's own JSONField sends jsonb, which changes what it stores (key order, `1e16`, `-0.0`, U+0000) and offers look-ups
that `json` has no operators for. This field reads and writes text, and offers `isnull` alone; to look inside, cast:
`.annotate(doc=Cast("args", JSONField()))`, which is a copy as jsonb with all its changes.
"""

import json
from typing import Any

from django.core import exceptions
from django.db import models
from django.db.models.lookups import IsNull


class CastField(models.Field):
    """A field whose values are sent with a cast to their column's type; expressions are left as they are."""

    empty_strings_allowed = False

    def get_placeholder_sql(self, value: Any, compiler: Any, connection: Any) -> tuple[str, Any]:
        """For Django 6.1 and later."""
        if hasattr(value, "as_sql"):
            return compiler.compile(value)
        return self.get_placeholder(value, compiler, connection), (value,)

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        """For Django 6.0, which fills an expression's SQL in for the `%s`."""
        return "%s" if hasattr(value, "as_sql") else f"%s::{self.db_type(connection)}"


class ExactJSONField(CastField):
    """JSON stored as it was sent. Python values in and out, `json.dumps`/`json.loads` between, nothing else."""

    description = "JSON, stored as it was sent"
    empty_values = (None,)  # [], {} and "" are values
    db_returning = False  # RETURNING knows no select_format: psycopg would parse the value, and "text" is no JSON text

    def db_type(self, connection: Any) -> str:
        return "json"

    def get_internal_type(self) -> str:
        return "ExactJSONField"

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """Ask for the text: psycopg would parse `json`, and DISTINCT and UNION need a type that has an equality."""
        return f"({sql})::text", params

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None or hasattr(value, "as_sql"):
            return value
        return json.dumps(value, allow_nan=False, separators=(",", ":"))

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    def to_python(self, value: Any) -> Any:
        return value

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        super().validate(value, model_instance)
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise exceptions.ValidationError(f"not storable as JSON: {error}", code="invalid") from error

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj)

    def formfield(self, **kwargs: Any) -> Any:
        """A textarea for JSON. Imported late: django.forms takes a moment, and no worker shows a form."""
        from reproq_django.form_fields import ExactJSONFormField

        return super().formfield(**{"form_class": ExactJSONFormField} | kwargs)

    def get_lookup(self, lookup_name: str) -> Any:
        return IsNull if lookup_name == "isnull" else None

    def get_transform(self, lookup_name: str) -> None:
        return None


class PlainArrayField(CastField):
    """A one-dimensional array column, a list in Python. Django's ArrayField would ask for `django.contrib.postgres`."""

    element_type = ""

    def db_type(self, connection: Any) -> str:
        return f"{self.element_type}[]"

    def get_internal_type(self) -> str:
        return type(self).__name__

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj)

    def to_python(self, value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value


class TextArrayField(PlainArrayField):
    """`text[]`."""

    description = "Array of texts"
    element_type = "text"


class FloatArrayField(PlainArrayField):
    """`double precision[]`."""

    description = "Array of numbers"
    element_type = "double precision"


class MomentArrayField(PlainArrayField):
    """`timestamp with time zone[]`."""

    description = "Array of moments"
    element_type = "timestamp with time zone"
