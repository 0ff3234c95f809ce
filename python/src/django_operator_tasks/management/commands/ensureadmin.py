"""Creates a user of the project's own model, or brings an existing one to what was asked for."""

from __future__ import annotations

import json
import os
from argparse import BooleanOptionalAction
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections

from ...base_command import ReportingCommand
from ...db.waiting import wait_for_database
from ...job import report
from ...job.durability import require_durable_database
from ...job.registered_secrets import register_secret
from ...job.run_context import run_context
from ...migration_waits import retry_while_migrating, wait_for_model
from ...unique_violation import UniqueViolation
from ...user_fields import FALSE_WORDS, TRUE_WORDS, field_location
from ...users import RESERVED_VARIABLES, RequestedUser, check_new_user, ensure_user, retry_transaction

ALWAYS, ON_CREATE = "always", "on-create"


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
            " --staff says something; an existing one keeps what they have.",
        )
        parser.add_argument(
            "--staff",
            action=BooleanOptionalAction,
            help="Whether the user may enter the admin, $DJANGO_ADMIN_STAFF. Default: what the model gives a new user;"
            " an existing one keeps what they have.",
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
        requested = requested_user(options, model)
        connection = connections[options["database"]]
        require_durable_database(connection)
        with self.exit_on_sigterm():
            wait_for_database(connection)
            if run_context():  # where something may be waited for
                check_new_user(model, requested, options["database"])
            wait_for_model(connection, model)
        report.current.add_database(connection)
        database = options["database"]

        def attempt(previous: UniqueViolation | None) -> tuple[Any, str]:
            return ensure_user(model, requested, database, previous)

        def location(field: str) -> str:
            return field_location(field, model, attribute=field in requested.attributes)

        with self.exit_on_sigterm():
            user, action = retry_while_migrating(connection, lambda: retry_transaction(attempt, connection, location))
        report.current.record_success(action, [user.get_username()])
        self.write_and_flush(f"user {user.get_username()} {action}")


def requested_user(options: Mapping[str, Any], model: Any) -> RequestedUser:
    """What was asked for, by option or by environment, read when the command runs."""
    env = os.environ.get
    username: str = options["username"] or env("DJANGO_ADMIN_USERNAME", "")
    password: str = options["password"] or env("DJANGO_ADMIN_PASSWORD", "")
    if not username:
        raise CommandError("no username: use --username or set $DJANGO_ADMIN_USERNAME")
    if not password:
        raise CommandError("no password: use --password or set $DJANGO_ADMIN_PASSWORD")
    register_secret(password)
    updates = bool_option(options, "update") or False
    policy = options["password_policy"] or env("DJANGO_ADMIN_PASSWORD_POLICY") or ALWAYS
    if policy not in (ALWAYS, ON_CREATE):
        raise CommandError(f"$DJANGO_ADMIN_PASSWORD_POLICY is {policy!r}; write {ALWAYS} or {ON_CREATE}")
    return RequestedUser(
        username=username,
        password=password,
        email=options["email"] or env("DJANGO_ADMIN_EMAIL") or None,
        update_existing=updates,
        update_password=policy == ALWAYS,
        staff=bool_option(options, "staff"),
        superuser=bool_option(options, "superuser"),
        attributes=requested_attributes(options["attribute"] or (), model),
    )


def bool_option(options: Mapping[str, Any], name: str) -> bool | None:
    """A yes or no by option or environment; None if neither says anything."""
    variable = f"DJANGO_ADMIN_{name.upper()}"
    if options[name] is not None:
        return bool(options[name])
    value = os.environ.get(variable, "")
    if value.lower() in TRUE_WORDS:
        return True
    if value and value.lower() not in FALSE_WORDS:
        raise CommandError(f"${variable} is {value!r}; write true or false")
    return False if value else None


def requested_attributes(given: Iterable[str], model: Any) -> dict[str, Any]:
    """The other fields, by name: from the environment, then from the options, which win."""
    # Fields that the model requires may stand in variables of their own, as for `createsuperuser`.
    own = {name: f"DJANGO_ADMIN_{name.upper()}" for name in model.REQUIRED_FIELDS}
    found: dict[str, Any] = {
        name: os.environ[variable]
        for name, variable in own.items()
        if variable not in RESERVED_VARIABLES and os.environ.get(variable)
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
