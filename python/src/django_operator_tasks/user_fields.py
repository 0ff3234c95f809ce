"""Fields of a project's user model: which there are, and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from .errors import MissingRow
from .job.run_context import run_context


class MissingObject(ValidationError):
    """An object that a key stands for is not there."""


TRUE_WORDS, FALSE_WORDS = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def constructor_values(model: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by the names that the model's constructor takes for raw values."""
    found = {model._meta.get_field(name): value for name, value in fields.items()}
    return {field.attname: value for field, value in found.items() if not field.many_to_many}


def supported_flags(model: Any, flags: Mapping[str, bool]) -> dict[str, bool]:
    """The flags that the model stores; a model without them has rules of its own."""
    names = {field.name for field in model._meta.concrete_fields}
    return {name: value for name, value in flags.items() if name in names}


def clean_fields(model: Any, values: Mapping[str, Any], database: str) -> dict[str, Any]:
    """The values as the model's fields take them; for fields that hold several objects, their keys."""
    result = {}
    for name, value in values.items():
        place = field_location(name, model, attribute=name != model.USERNAME_FIELD)
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist as error:
            raise CommandError(f"{place}: {error}") from error
        if field.auto_created and not field.concrete:
            owner = field.related_model._meta.label
            raise CommandError(f"{place}: it is no field of {model._meta.label}, but one of {owner} that points to it")
        try:
            if field.many_to_many:
                result[name] = related_keys(field, value, database)
            elif field.is_relation:
                result[name] = related_key(field, value, database)
            else:
                result[name] = make_aware_in_project_zone(field.clean(parse_bool(field, value), None))
        except MissingObject as error:
            raise MissingRow(f"{place}: {' '.join(error.messages)}") from error
        except (ValidationError, ValueError, TypeError) as error:
            said = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
            raise CommandError(f"{place}: {said}") from error
    return result


def field_location(name: str, model: Any, *, attribute: bool) -> str:
    """What somebody wrote to get this field: in a resource, or on a command line."""
    if name == model.USERNAME_FIELD and not attribute:
        return "spec.username" if run_context() else "--username"
    if name == email_field(model) and not attribute:
        return "spec.email" if run_context() else "--email"
    return f"spec.attributes.{name}" if run_context() else f"--attribute {name}"


def parse_bool(field: Any, value: Any) -> Any:
    """Words for yes and no, as the other options take them."""
    if field.get_internal_type() == "BooleanField" and isinstance(value, str):
        return {**dict.fromkeys(TRUE_WORDS, True), **dict.fromkeys(FALSE_WORDS, False)}.get(value.lower(), value)
    return value


def make_aware_in_project_zone(value: Any) -> Any:
    """A time without a zone means the project's."""
    if isinstance(value, datetime) and settings.USE_TZ and timezone.is_naive(value):
        return timezone.make_aware(value)
    return value


def related_key(field: Any, value: Any, database: str) -> Any:
    """The key of one other object."""
    key = field.to_python(value)
    if key is None:
        return field.clean(key, None)
    others = field.related_model
    allowed = others._base_manager.using(database).complex_filter(field.get_limit_choices_to())
    if not allowed.filter(**{field.target_field.name: key}).exists():
        raise MissingObject(f"there is no {others._meta.label} with the key {key}")
    return key


def related_keys(field: Any, value: Any, database: str) -> list[Any]:
    """The keys of objects that are named by key, in a list or with commas between them."""
    listed = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    others = field.related_model
    keys = [others._meta.pk.to_python(each) for each in listed if each != ""]
    found = set(others._base_manager.using(database).filter(pk__in=keys).values_list("pk", flat=True))
    missing = [str(key) for key in keys if key not in found]
    if missing:
        raise MissingObject(f"there is no {others._meta.label} with the key {', '.join(missing)}")
    return keys


def email_field(model: Any) -> str:
    """The name of the model's field for the address, if it has one."""
    name: str = model.get_email_field_name() if hasattr(model, "get_email_field_name") else ""
    return name if name in {field.name for field in model._meta.concrete_fields} else ""
