"""The form field of `ExactJSONField`: JSON in a textarea, empty arrays and objects too, each fault with its reason."""

import json
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

SURROGATES = re.compile("[\ud800-\udfff]")


class TypedText(str):
    """What somebody typed, to be shown again as it is."""

    __slots__ = ()


class ExactJSONFormField(forms.CharField):
    """Takes JSON text, gives Python values."""

    widget = forms.Textarea
    empty_values = (None, "")

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        try:
            return json.loads(value, parse_constant=_refuse) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise ValidationError(f"This is not JSON: {error}.", code="invalid") from error
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"This cannot be stored: {error}.", code="invalid") from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data if data is None else TypedText(data)

    def prepare_value(self, value: Any) -> str:
        if isinstance(value, TypedText):
            return value
        text = json.dumps(value, ensure_ascii=False)
        return SURROGATES.sub(lambda mark: f"\\u{ord(mark[0]):04x}", text)

    def run_validators(self, value: Any) -> None:
        """CharField's are for texts."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return json.dumps(initial) != json.dumps(self.to_python(data))
        except ValidationError:
            return True


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
