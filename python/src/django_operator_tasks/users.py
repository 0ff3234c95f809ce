"""Brings a user of the project's own model to what was asked for. The account of another one is never touched."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import IntegrityError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import pre_save

from .user_fields import clean_fields, constructor_values, email_field, field_location, supported_flags

T = TypeVar("T")
BUSY_SECONDS = 300.0
# PostgreSQL: serialization_failure, deadlock_detected; MySQL: a deadlock, a row that changed. Who waited for a lock
# until the server's own limit is told so.
RETRYABLE_CODES = {"40001", "40P01", 1213, 1020}
# Variables with a meaning of their own, whatever the model's fields are called.
RESERVED_VARIABLES = {
    f"DJANGO_ADMIN_{name}"
    for name in ("USERNAME", "PASSWORD", "EMAIL", "UPDATE", "STAFF", "SUPERUSER", "PASSWORD_POLICY", "ATTRIBUTES")
}


@dataclass(frozen=True)
class RequestedUser:
    """What was asked for."""

    username: str
    password: str
    email: str | None
    update_existing: bool  # an existing user as well
    update_password: bool  # of an existing user
    staff: bool | None
    superuser: bool | None
    attributes: Mapping[str, Any]

    @property
    def superuser_on_create(self) -> bool:
        """Without a word on it, a new user is what the command's name says and an old one stays as they are."""
        return self.superuser if self.superuser is not None else self.staff is None


class UniqueViolation(Exception):
    """The database violated a user: another one has the same value in a field that has to be unique."""

    def __init__(self, user: Any, requested: RequestedUser, error: IntegrityError) -> None:
        super().__init__(str(error))
        self.user = user
        self.requested = requested
        self.error = error

    def fail(self) -> NoReturn:
        """Names the fields; says it in the database's words where they are not known."""
        taken = taken_fields(self.user) if self.user is not None else []
        if not taken:
            raise self.error
        given = self.requested.attributes
        places = ", ".join(field_location(name, type(self.user), attribute=name in given) for name in taken)
        raise CommandError(f"{places}: another user has this value already") from self.error


def retry_transaction(attempt: Callable[[UniqueViolation | None], T], connection: BaseDatabaseWrapper) -> T:
    """Does it, and again when somebody else was quicker.

    :param attempt: is told what the database violated at the attempt before.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    previous: UniqueViolation | None = None
    while True:
        try:
            return attempt(previous)
        except UniqueViolation as violation:
            if previous is not None:
                violation.fail()
            previous = violation  # another process made the same user just now, or a value is taken: the next try tells
        except OperationalError as error:
            if not is_retryable(connection, error) or connection.in_atomic_block or time.monotonic() >= deadline:
                raise
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - only to keep out of each other's way


def taken_fields(user: Any) -> list[str]:
    """Fields in which another user has the same value, though none may."""
    model = type(user)
    unique = [[field.name] for field in model._meta.concrete_fields if field.unique and not field.primary_key]
    unique += [list(constraint.fields) for constraint in model._meta.total_unique_constraints]
    others = model._base_manager.using(user._state.db).exclude(pk=user.pk)
    found: list[str] = []
    for names in unique:
        values = {name: getattr(user, model._meta.get_field(name).attname) for name in names}
        if None not in values.values() and others.filter(**values).exists():
            found += [name for name in names if name not in found]
    return found


@contextmanager
def detect_unique_violation(model: Any, requested: RequestedUser, database: str) -> Iterator[None]:
    """Tells of a user that the database refuses in the block.

    :raises UniqueViolation: with the user as they were to be stored.
    """
    stored: list[Any] = []

    def before_save(instance: Any, **_: Any) -> None:
        if isinstance(instance, model):
            stored.append(instance)

    pre_save.connect(before_save)
    try:
        yield
    except IntegrityError as error:
        user = stored[-1] if stored else None
        if user is not None:
            user._state.db = database
        raise UniqueViolation(user, requested, error) from error
    finally:
        pre_save.disconnect(before_save)


def is_retryable(connection: BaseDatabaseWrapper, error: OperationalError) -> bool:
    """Whether the server gave up a transaction in favour of another one, and it may be tried again."""
    if connection.vendor == "sqlite":  # has no queue for writers that have read before
        return "locked" in str(error)
    cause: Any = error.__cause__
    codes = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}
    return bool(codes & RETRYABLE_CODES)


def ensure_user(
    model: Any, requested: RequestedUser, database: str, previous: UniqueViolation | None
) -> tuple[Any, str]:
    """The user, and what was done.

    :param previous: what the database violated at the attempt before.
    """
    users = model._default_manager.db_manager(database)
    username = model.normalize_username(requested.username)
    names = {username, getattr(users, "normalize_email", str)(username), *stored_usernames(previous, username)}
    # The first look, and what costs time, before anything is locked: those who wait would be given up.
    password = PasswordChecker(requested.password)
    user = find_user(users, names, username)
    if user is not None and requested.update_existing and requested.update_password:
        password.matches(user)
    with detect_unique_violation(model, requested, users.db), transaction.atomic(using=users.db):
        user = find_user(users, names, username)
        if user is None:
            return create(model, users, username, requested), "created"
        if not requested.update_existing:
            return user, "unchanged"
        # What somebody else changes just now is neither overlooked nor written over.
        rows = model._base_manager.using(users.db).select_related(None)  # of others' tables, nothing is locked
        user = rows.select_for_update().get(pk=user.pk)
        return user, "updated" if update(user, requested, password) else "unchanged"


def stored_usernames(previous: UniqueViolation | None, username: str) -> list[str]:
    """The name as the project's manager was about to store it, which may write all names in lower case. Whatever
    else was refused is somebody else's."""
    if previous is None or previous.user is None:
        return []
    stored: str = previous.user.get_username()
    return [stored] if stored.casefold() == username.casefold() else []


class PasswordChecker:
    """Compares the password with stored ones; the same one costs a hash only once."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.stored: str | None = None
        self.same = False

    def matches(self, user: Any) -> bool:
        """Whether it is the user's. Not asked by the model's own method, which may save a better hash wherever a
        router says."""
        if user.password != self.stored:
            self.stored, self.same = user.password, check_password(self.password, user.password)
        return self.same


def find_user(users: Any, names: Iterable[str], username: str) -> Any:
    """The user of one of these names, or whom a login by this one finds; None if there is none."""
    found = users.filter(**{users.model.USERNAME_FIELD + "__in": names}).first()
    return found if found is not None else by_natural_key(users, username)


def by_natural_key(users: Any, username: str) -> Any:
    """The user by what a login would find; None if there is none."""
    try:
        return users.get_by_natural_key(username) if hasattr(users, "get_by_natural_key") else None
    except users.model.DoesNotExist:
        return None


def create(model: Any, users: Any, username: str, requested: RequestedUser) -> Any:
    """A new user, made by the model's own manager."""
    fields = dict(clean_fields(model, requested.attributes, users.db))
    fields[model.USERNAME_FIELD] = clean_fields(model, {model.USERNAME_FIELD: username}, users.db)[model.USERNAME_FIELD]
    email = email_field(model)
    if email and email not in fields and (requested.email or email in model.REQUIRED_FIELDS):
        fields[email] = requested.email or ""
    missing = [name for name in model.REQUIRED_FIELDS if name not in fields]
    if missing:
        variables = [f"$DJANGO_ADMIN_{name.upper()}" for name in missing]
        ways = ", ".join(
            [
                "--attribute",
                "$DJANGO_ADMIN_ATTRIBUTES",
                *(each for each in variables if each[1:] not in RESERVED_VARIABLES),
            ]
        )
        raise CommandError(
            f"the user model {model._meta.label} requires {', '.join(missing)} as well; set spec.attributes"
            f" (by hand: {ways})"
        )
    validate_new_password(requested.password, model(**constructor_values(model, fields)))
    # The manager knows what else belongs to a user; it takes what `createsuperuser` would give it.
    given = {name: fields.pop(name) for name in (model.USERNAME_FIELD, *model.REQUIRED_FIELDS) if name in fields}
    make = users.create_superuser if requested.superuser_on_create else getattr(users, "create_user", None)
    if email in fields and (make is None or accepts_parameter(make, email)):
        given[email] = fields.pop(email)
    elif email and email not in given and make is not None and requires_parameter(make, email):
        given[email] = None  # as djk8s gives it
    if make is not None:
        user = make(password=requested.password, **given)
        if user is None:  # some managers return nothing
            user = users.get(**{model.USERNAME_FIELD: given[model.USERNAME_FIELD]})
    else:
        user = model(**given)
        user.set_password(requested.password)
    flags = {"is_superuser": requested.superuser_on_create}
    if requested.staff is not None:
        flags["is_staff"] = requested.staff
    related = {name: fields.pop(name) for name in list(fields) if model._meta.get_field(name).many_to_many}
    set_fields(user, {**fields, **supported_flags(model, flags)})
    user.save(using=users.db)
    set_related(user, related)
    return user


def accepts_parameter(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of this name, or takes any."""
    parameters = inspect.signature(function).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def requires_parameter(function: Callable[..., Any], name: str) -> bool:
    """Whether a function cannot be called without this parameter."""
    parameter = inspect.signature(function).parameters.get(name)
    return parameter is not None and parameter.default is parameter.empty


def update(user: Any, requested: RequestedUser, password: PasswordChecker) -> bool:
    """Whether anything had to be changed."""
    model = type(user)
    fields = dict(clean_fields(model, requested.attributes, user._state.db))
    email = email_field(model)
    if email and email != model.USERNAME_FIELD and requested.email is not None:
        normal = getattr(model._default_manager, "normalize_email", str)(requested.email)
        if getattr(user, email) not in (normal, requested.email):
            fields[email] = normal
    flags = {"is_superuser": requested.superuser, "is_staff": requested.staff}
    fields.update(supported_flags(model, {name: value for name, value in flags.items() if value is not None}))
    related = {name: fields.pop(name) for name in list(fields) if model._meta.get_field(name).many_to_many}
    changed = set_fields(user, fields)
    if requested.update_password and not password.matches(user):
        validate_new_password(requested.password, user)
        user.set_password(requested.password)
        changed = True
    if changed:
        user.save(using=user._state.db)
    return set_related(user, related) or changed


def set_fields(user: Any, fields: Mapping[str, Any]) -> bool:
    """Whether a field had another value."""
    changed = False
    for name, value in fields.items():
        attribute = type(user)._meta.get_field(name).attname
        if getattr(user, attribute) != value:
            setattr(user, attribute, value)
            changed = True
    return changed


def set_related(user: Any, fields: Mapping[str, list[Any]]) -> bool:
    """The same for fields that hold several other objects, such as groups."""
    changed = False
    for name, keys in fields.items():
        related = getattr(user, name)
        if set(related.values_list("pk", flat=True)) != set(keys):
            related.set(keys)
            changed = True
    return changed


def validate_new_password(password: str, user: Any) -> None:
    """:raises CommandError: if the project's validators refuse the password."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        said = " ".join(error.messages)
        raise CommandError(f"the password is violated by AUTH_PASSWORD_VALIDATORS: {said}") from error
