"""Brings a user of the project's own model to what was asked for. The account of another one is never touched."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.management.base import CommandError
from django.db import Error, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .job.run_context import run_context
from .unique_violation import Saving, UniqueViolation, detect_unique_violation, same_name
from .user_fields import clean_fields, constructor_values, email_field, field_location, supported_flags
from .user_lookup import find_user, is_unique

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


class PasswordChanged(Exception):
    """Another process changed the password that was compared; to be compared again."""


def retry_transaction(
    attempt: Callable[[UniqueViolation | None], T],
    connection: BaseDatabaseWrapper,
    locations: Callable[[str], str],
) -> T:
    """Makes the attempt again when another process was quicker.

    :param attempt: is told what the database refused at the attempt before.
    :param locations: gives the place where a field's value was asked for.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    previous: UniqueViolation | None = None
    while True:
        try:
            return attempt(previous)
        except UniqueViolation as violation:
            if previous is not None:
                violation.fail(locations)
            previous = violation  # another process made the same user just now, or a value is taken: the next try tells
        except PasswordChanged:
            if connection.in_atomic_block or time.monotonic() >= deadline:
                raise
        except OperationalError as error:
            if not is_retryable(connection, error) or connection.in_atomic_block or time.monotonic() >= deadline:
                raise
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - only to keep out of each other's way


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

    :param previous: what the database refused at the attempt before.
    """
    users = model._default_manager.db_manager(database)
    username = normalized_username(model, requested.username)
    names = possible_names(users, username, previous)
    # A hash takes seconds on a busy machine: it is made while no lock is held, as those who wait would be given up.
    user = find_user(users, names, username)
    password = NewPassword(requested.password, user) if needs_password(user, requested) else None
    in_callers_transaction = transaction.get_connection(users.db).in_atomic_block
    with detect_unique_violation(model, username, users.db) as saving, transaction.atomic(using=users.db):
        if user is None and not is_unique(model):
            user = find_user(users, names, username)
        if user is None:
            return create(model, users, username, requested, saving), "created"
        if not requested.update_existing:
            return user, "unchanged"
        # What somebody else changes just now is neither overlooked nor written over.
        rows = model._base_manager.using(users.db).select_related(None)  # of others' tables, nothing is locked
        locked = rows.select_for_update().filter(pk=user.pk).first()
        if locked is None or needs_password(locked, requested) != (password is not None):
            raise PasswordChanged("another process changed the user at the same time")
        if in_callers_transaction and password is not None and locked.password != password.stored:
            password = NewPassword(requested.password, locked)  # another attempt would see no more than this one
        return locked, "updated" if update(locked, requested, password) else "unchanged"


def normalized_username(model: Any, username: str) -> str:
    """As the model has it; one that has nothing of Django's takes it as it is."""
    normalize: Callable[[str], str] = getattr(model, "normalize_username", str)
    return normalize(username)


def stores_password(model: Any) -> bool:
    """Whether users of a model have a password of their own: others are known to a directory, such as LDAP."""
    return any(field.name == "password" for field in model._meta.concrete_fields)


def needs_password(user: Any, requested: RequestedUser) -> bool:
    """Whether an existing user's password is to be compared."""
    wanted = requested.update_existing and requested.update_password
    return user is not None and wanted and stores_password(type(user))


def possible_names(users: Any, username: str, previous: UniqueViolation | None) -> list[str]:
    """The name, and as the project's manager may have stored it: an address with its domain in lower case, and what
    it was about to store at the attempt before. A name that differs in more than that is another user's."""
    model = users.model
    names = [username]
    if email_field(model) == model.USERNAME_FIELD and hasattr(users, "normalize_email"):
        names.append(users.normalize_email(username))
    if previous is not None and previous.user is not None and same_name(previous.user, username):
        names.append(previous.user.get_username())
    return names


class NewPassword:
    """The password that a user is to have, compared with the one that is stored, and hashed if that is another."""

    def __init__(self, password: str, user: Any) -> None:
        self.password = password
        self.stored: str = user.password
        # Not by the model's own method, which may save a better hash wherever a router says.
        self.same = check_password(password, self.stored)
        self.own_method = type(user).set_password is not AbstractBaseUser.set_password
        self.hash = "" if self.same or self.own_method else make_password(password)

    def set_on(self, user: Any) -> bool:
        """Gives it to the user; whether they had another one.

        :raises PasswordChanged: if the stored one is not the one that was compared.
        """
        if user.password != self.stored:
            raise PasswordChanged("another process changed the password at the same time")
        if self.same:
            return False
        validate_new_password(self.password, user)
        if self.own_method:
            user.set_password(self.password)
        else:  # as `set_password` does it
            user.password, user._password = self.hash, self.password
        return True


def require_fields(model: Any, given: Container[str]) -> None:
    """:raises CommandError: if a field that the model requires of a new user is not among those given."""
    missing = [name for name in model.REQUIRED_FIELDS if name not in given]
    if not missing:
        return
    required = f"the user model {model._meta.label} requires {', '.join(missing)} as well"
    if run_context():
        raise CommandError(f"{required}; set {', '.join(field_location(n, model, attribute=True) for n in missing)}")
    variables = [f"$DJANGO_ADMIN_{name.upper()}" for name in missing]
    own = [each for each in variables if each[1:] not in RESERVED_VARIABLES]
    raise CommandError(f"{required}; use {', '.join(['--attribute', '$DJANGO_ADMIN_ATTRIBUTES', *own])}")


def check_new_user(model: Any, requested: RequestedUser, database: str) -> None:
    """What the model alone tells of a new user, before anything is waited for: unknown and missing fields, a password
    that the validators refuse. Nothing of an existing one, nor where only the database would tell.

    :raises CommandError: names the field.
    """
    users = model._default_manager.db_manager(database)
    username = normalized_username(model, requested.username)
    try:
        if has_table(model, database) and user_exists(users, username) is not False:
            return
        wanted = {**requested.attributes, model.USERNAME_FIELD: username}
        fields = clean_fields(model, {n: v for n, v in wanted.items() if not is_related(model, n)}, database)
        email = email_field(model)
        if email:
            fields.setdefault(email, requested.email or "")
        require_fields(model, {*fields, *requested.attributes})
        if stores_password(model):
            validate_new_password(requested.password, model(**constructor_values(model, fields)))
    except CommandError:
        raise
    except Exception:  # of the project's own, which wants the database or what a whole user has: told when it is there
        return


def has_table(model: Any, database: str) -> bool:
    connection = connections[database]
    return model._meta.db_table in connection.introspection.table_names()


def user_exists(users: Any, username: str) -> bool | None:
    """Whether there is one of this name; None where the database is not ready to tell."""
    try:
        return find_user(users, possible_names(users, username, None), username) is not None
    except Error:
        return None


def is_related(model: Any, name: str) -> bool:
    """Whether a field's values are other objects, which only the database knows."""
    try:
        return bool(model._meta.get_field(name).is_relation)
    except FieldDoesNotExist:
        return False


def create(model: Any, users: Any, username: str, requested: RequestedUser, saving: Saving) -> Any:
    """A new user, made by the model's own manager."""
    fields = dict(clean_fields(model, requested.attributes, users.db))
    fields[model.USERNAME_FIELD] = clean_fields(model, {model.USERNAME_FIELD: username}, users.db)[model.USERNAME_FIELD]
    email = email_field(model)
    if email and email not in fields and (requested.email or email in model.REQUIRED_FIELDS):
        fields[email] = requested.email or ""
    require_fields(model, fields)
    if stores_password(model):
        validate_new_password(requested.password, model(**constructor_values(model, fields)))
    # The manager knows what else belongs to a user; it takes what `createsuperuser` would give it.
    given = {name: fields.pop(name) for name in (model.USERNAME_FIELD, *model.REQUIRED_FIELDS) if name in fields}
    make = users.create_superuser if requested.superuser_on_create else getattr(users, "create_user", None)
    if email in fields and (make is None or accepts_parameter(make, email)):
        given[email] = fields.pop(email)
    elif email and email not in given and make is not None and requires_parameter(make, email):
        given[email] = None  # as djk8s gives it
    if make is not None:
        if accepts_parameter(make, "password"):
            given["password"] = requested.password
        user = make(**given)
        if user is None:  # some managers return nothing
            user = users.get(**{model.USERNAME_FIELD: given[model.USERNAME_FIELD]})
        if user.pk not in saving.created:  # it gave back one that was there
            raise UniqueViolation(user, users.db)
    else:
        user = model(**given)
        if stores_password(model):
            user.set_password(requested.password)
    flags = {"is_superuser": requested.superuser_on_create}
    if requested.staff is not None:
        flags["is_staff"] = requested.staff
    related = {name: fields.pop(name) for name in list(fields) if model._meta.get_field(name).many_to_many}
    changed = set_fields(user, {**fields, **supported_flags(model, flags)})
    if changed or make is None:  # who listens to post_save hears of a user once, if it can be
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


def update(user: Any, requested: RequestedUser, password: NewPassword | None) -> bool:
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
    if password is not None and password.set_on(user):
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
        raise CommandError(f"the password is refused by AUTH_PASSWORD_VALIDATORS: {said}") from error
