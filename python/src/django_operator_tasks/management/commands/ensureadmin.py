"""Creates a user of the project's own model, or brings an existing one to what was asked for."""

from __future__ import annotations

import inspect
import json
import os
import random
import time
from argparse import BooleanOptionalAction
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password as same_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, IntegrityError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import pre_save
from django.utils import timezone

from ...base_command import ReportingCommand
from ...db.waiting import wait_for_database, wait_for_model
from ...job import report
from ...job.durability import check_database
from ...job.report import run_facts

T = TypeVar("T")
BUSY_SECONDS = 300.0
# PostgreSQL: serialization_failure, deadlock_detected; MySQL: a deadlock, a row that changed. Who waited for a lock
# until the server's own limit is told so.
GIVEN_UP = {"40001", "40P01", 1213, 1020}
ALWAYS, ON_CREATE = "always", "on-create"
# Variables with a meaning of their own, whatever the model's fields are called.
TAKEN = {
    f"DJANGO_ADMIN_{name}"
    for name in ("USERNAME", "PASSWORD", "EMAIL", "UPDATE", "STAFF", "SUPERUSER", "PASSWORD_POLICY", "ATTRIBUTES")
}
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Command(ReportingCommand):
    """Says created, updated or unchanged."""

    help = "Ensures that a Django superuser exists with credentials from environment variables."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-u", "--username", help="The username for the Django admin, $DJANGO_ADMIN_USERNAME")
        parser.add_argument("-p", "--password", help="The password for the Django admin, $DJANGO_ADMIN_PASSWORD")
        parser.add_argument("-e", "--email", help="The email for the Django admin, $DJANGO_ADMIN_EMAIL")
        parser.add_argument(
            "-d",
            "--database",
            default=DEFAULT_DB_ALIAS,
            choices=tuple(connections),
            help="Specifies the database to use. Default is 'default'.",
        )
        parser.add_argument(
            "--update",
            action=BooleanOptionalAction,
            help="Bring an existing user to what is asked for as well, $DJANGO_ADMIN_UPDATE."
            " Default: an existing user is left alone.",
        )
        parser.add_argument(
            "--password-policy",
            choices=(ALWAYS, ON_CREATE),
            help="With --update: set the password of an existing user always, or never, $DJANGO_ADMIN_PASSWORD_POLICY."
            f" Default: {ALWAYS}.",
        )
        parser.add_argument(
            "--superuser",
            action=BooleanOptionalAction,
            help="Whether the user has all rights, $DJANGO_ADMIN_SUPERUSER. Default: a new user has them, unless"
            " --staff says something; an existing one keeps what he has.",
        )
        parser.add_argument(
            "--staff",
            action=BooleanOptionalAction,
            help="Whether the user may enter the admin, $DJANGO_ADMIN_STAFF. Default: what the model gives a new user;"
            " an existing one keeps what he has.",
        )
        parser.add_argument(
            "-a",
            "--attribute",
            action="append",
            metavar="FIELD=VALUE",
            help="Another field of the user model; may be given several times. Also a JSON object in"
            " $DJANGO_ADMIN_ATTRIBUTES, and for fields that the model requires $DJANGO_ADMIN_<FIELD>.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        model = get_user_model()
        requested = RequestedUser(options, model)
        connection = connections[options["database"]]
        check_database(connection)
        with self.interruptible():
            wait_for_database(connection)
            wait_for_model(connection, model)
        report.current.add_database(connection)
        database = options["database"]
        user, action = retry_transaction(lambda refused: ensure(model, requested, database, refused), connection)
        report.current.succeeded_with(action, [user.get_username()])
        self.stdout.write(f"user {user.get_username()} {action}")


class Refused(Exception):
    """The database refused a user: another one has the same value in a field that has to be unique."""

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


def retry_transaction(act: Callable[[Refused | None], T], connection: BaseDatabaseWrapper) -> T:
    """Does it, and again when somebody else was quicker.

    :param act: is told what the database refused at the attempt before.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    refused: Refused | None = None
    while True:
        try:
            return act(refused)
        except Refused as refusal:
            if refused is not None:
                refusal.fail()
            refused = refusal  # somebody else made the same user just now, or a value is taken: the next look tells
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
def refusals(model: Any, requested: RequestedUser, database: str) -> Iterator[None]:
    """Tells of a user that the database refuses in the block.

    :raises Refused: with the user as he was to be stored.
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
        raise Refused(user, requested, error) from error
    finally:
        pre_save.disconnect(before_save)


def is_retryable(connection: BaseDatabaseWrapper, error: OperationalError) -> bool:
    """Whether the server gave up a transaction in favour of another one, and it may be tried again."""
    if connection.vendor == "sqlite":  # has no queue for writers that have read before
        return "locked" in str(error)
    cause: Any = error.__cause__
    codes = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}
    return bool(codes & GIVEN_UP)


class RequestedUser:
    """What was asked for, by option or by environment, read when the command runs."""

    def __init__(self, options: Mapping[str, Any], model: Any) -> None:
        env = os.environ.get
        self.username: str = options["username"] or env("DJANGO_ADMIN_USERNAME", "")
        self.password: str = options["password"] or env("DJANGO_ADMIN_PASSWORD", "")
        self.email: str | None = options["email"] or env("DJANGO_ADMIN_EMAIL") or None
        if not self.username:
            raise CommandError("no username: use --username or set $DJANGO_ADMIN_USERNAME")
        if not self.password:
            raise CommandError("no password: use --password or set $DJANGO_ADMIN_PASSWORD")
        report.current.hide(self.password)
        self.updates = bool_option(options, "update") or False
        policy = options["password_policy"] or env("DJANGO_ADMIN_PASSWORD_POLICY") or ALWAYS
        if policy not in (ALWAYS, ON_CREATE):
            raise CommandError(f"$DJANGO_ADMIN_PASSWORD_POLICY is {policy!r}; write {ALWAYS} or {ON_CREATE}")
        self.sets_password = policy == ALWAYS
        self.staff = bool_option(options, "staff")
        # Without a word on it, a new user is what the command's name says and an old one stays as he is.
        self.superuser = bool_option(options, "superuser")
        self.new_superuser = self.superuser if self.superuser is not None else self.staff is None
        self.attributes = attributes(options["attribute"] or (), model)


def bool_option(options: Mapping[str, Any], name: str) -> bool | None:
    """A yes or no by option or environment; None if neither says anything."""
    variable = f"DJANGO_ADMIN_{name.upper()}"
    if options[name] is not None:
        return bool(options[name])
    value = os.environ.get(variable, "")
    if value.lower() in TRUE:
        return True
    if value and value.lower() not in FALSE:
        raise CommandError(f"${variable} is {value!r}; write true or false")
    return False if value else None


def attributes(given: Iterable[str], model: Any) -> dict[str, Any]:
    """The other fields, by name: from the environment, then from the options, which win."""
    # Fields that the model requires may stand in variables of their own, as for `createsuperuser`.
    own = {name: f"DJANGO_ADMIN_{name.upper()}" for name in model.REQUIRED_FIELDS}
    found: dict[str, Any] = {
        name: os.environ[variable]
        for name, variable in own.items()
        if variable not in TAKEN and os.environ.get(variable)
    }
    try:
        listed = json.loads(os.environ.get("DJANGO_ADMIN_ATTRIBUTES") or "{}")
    except ValueError as error:
        raise CommandError(f"$DJANGO_ADMIN_ATTRIBUTES is no JSON object: {error}") from error
    if not isinstance(listed, dict):
        raise CommandError('$DJANGO_ADMIN_ATTRIBUTES is no JSON object; write {"field": "value"}')
    found.update(listed)
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise CommandError(f"--attribute {item}: write FIELD=VALUE")
        found[name] = value
    for name, way in (("password", "--password, $DJANGO_ADMIN_PASSWORD"), (model.USERNAME_FIELD, "--username")):
        if name in found:
            raise CommandError(f"{field_location(name, model, attribute=True)}: it is no attribute; use {way}")
    return found


def ensure(model: Any, requested: RequestedUser, database: str, refused: Refused | None) -> tuple[Any, str]:
    """The user, and what was done.

    :param refused: what the database refused at the attempt before.
    """
    users = model._default_manager.db_manager(database)
    username = model.normalize_username(requested.username)
    names = {username, getattr(users, "normalize_email", str)(username), *name_as_stored(refused, username)}
    # The first look, and what costs time, before anything is locked: those who wait would be given up.
    password = KnownPassword(requested.password)
    user = find(users, names, username)
    if user is not None and requested.updates and requested.sets_password:
        password.is_of(user)
    with refusals(model, requested, users.db), transaction.atomic(using=users.db):
        user = find(users, names, username)
        if user is None:
            return create(model, users, username, requested), "created"
        if not requested.updates:
            return user, "unchanged"
        # What somebody else changes just now is neither overlooked nor written over.
        rows = model._base_manager.using(users.db).select_related(None)  # of others' tables, nothing is locked
        user = rows.select_for_update().get(pk=user.pk)
        return user, "updated" if update(user, requested, password) else "unchanged"


def name_as_stored(refused: Refused | None, username: str) -> list[str]:
    """The name as the project's manager was about to store it, which may write all names in lower case. Whatever
    else was refused is somebody else's."""
    if refused is None or refused.user is None:
        return []
    stored: str = refused.user.get_username()
    return [stored] if stored.casefold() == username.casefold() else []


class KnownPassword:
    """Compares the password with stored ones; the same one costs a hash only once."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.stored: str | None = None
        self.same = False

    def is_of(self, user: Any) -> bool:
        """Whether it is the user's. Not asked by the model's own method, which may save a better hash wherever a
        router says."""
        if user.password != self.stored:
            self.stored, self.same = user.password, same_password(self.password, user.password)
        return self.same


def find(users: Any, names: Iterable[str], username: str) -> Any:
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
            ["--attribute", "$DJANGO_ADMIN_ATTRIBUTES", *(each for each in variables if each[1:] not in TAKEN)]
        )
        raise CommandError(
            f"the user model {model._meta.label} requires {', '.join(missing)} as well; set spec.attributes"
            f" (by hand: {ways})"
        )
    validate_new_password(requested.password, model(**constructor_values(model, fields)))
    # The manager knows what else belongs to a user; it takes what `createsuperuser` would give it.
    given = {name: fields.pop(name) for name in (model.USERNAME_FIELD, *model.REQUIRED_FIELDS) if name in fields}
    make = users.create_superuser if requested.new_superuser else getattr(users, "create_user", None)
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
    flags = {"is_superuser": requested.new_superuser}
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


def update(user: Any, requested: RequestedUser, password: KnownPassword) -> bool:
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
    if requested.sets_password and not password.is_of(user):
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
                result[name] = aware(field.clean(parse_bool(field, value), None))
        except (ValidationError, ValueError, TypeError) as error:
            said = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
            raise CommandError(f"{place}: {said}") from error
    return result


def field_location(name: str, model: Any, *, attribute: bool) -> str:
    """What somebody wrote to get this field: in a resource, or on a command line."""
    if name == model.USERNAME_FIELD and not attribute:
        return "spec.username" if run_facts() else "--username"
    if name == email_field(model) and not attribute:
        return "spec.email" if run_facts() else "--email"
    return f"spec.attributes.{name}" if run_facts() else f"--attribute {name}"


def parse_bool(field: Any, value: Any) -> Any:
    """Words for yes and no, as the other options take them."""
    if field.get_internal_type() == "BooleanField" and isinstance(value, str):
        return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}.get(value.lower(), value)
    return value


def aware(value: Any) -> Any:
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
        raise ValidationError(f"there is no {others._meta.label} with the key {key}")
    return key


def related_keys(field: Any, value: Any, database: str) -> list[Any]:
    """The keys of objects that are named by key, in a list or with commas between them."""
    listed = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    others = field.related_model
    keys = [others._meta.pk.to_python(each) for each in listed if each != ""]
    found = set(others._base_manager.using(database).filter(pk__in=keys).values_list("pk", flat=True))
    missing = [str(key) for key in keys if key not in found]
    if missing:
        raise ValidationError(f"there is no {others._meta.label} with the key {', '.join(missing)}")
    return keys


def validate_new_password(password: str, user: Any) -> None:
    """:raises CommandError: if the project's validators refuse the password."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        said = " ".join(error.messages)
        raise CommandError(f"the password is refused by AUTH_PASSWORD_VALIDATORS: {said}") from error


def email_field(model: Any) -> str:
    """The name of the model's field for the address, if it has one."""
    name: str = model.get_email_field_name() if hasattr(model, "get_email_field_name") else ""
    return name if name in {field.name for field in model._meta.concrete_fields} else ""
