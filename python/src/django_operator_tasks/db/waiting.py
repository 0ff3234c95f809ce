"""Waits for what somebody else is about to bring: a database that still starts, tables that a migration
makes."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import Error, OperationalError, ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ..errors import TaskError
from ..job.report import say
from ..job.run_context import run_context
from ..job.scrub import scrubbed
from .connections import is_between_transactions, is_reused, reopen
from .failures import is_transient, lacks_right
from .pending import unapplied_in_current_schema

DATABASE_SECONDS = 60
TABLE_SECONDS = 300
PAUSE = 1.0


def wait_for_database(connection: BaseDatabaseWrapper) -> None:
    """Waits for a server that is about to come up; only inside of a Job."""
    _wait_until(
        lambda: _connection_obstacle(connection),
        DATABASE_SECONDS,
        "database %r" % connection.alias,
        "DatabaseUnreachable",
        "the database %r at %r does not answer" % (connection.alias, str(connection.settings_dict.get("HOST") or "")),
    )


def wait_for_model(connection: BaseDatabaseWrapper, model: type[Model]) -> None:
    """Asks for a model's table. Inside of a Job, where everything of a release is applied at once, waits for it, and
    for every migration of its application: half a table is none."""
    _wait_until(
        lambda: None if _has_table(connection, model) else "",
        TABLE_SECONDS,
        "the migrations of %s" % model._meta.app_label,
        "NotMigrated",
        "the database is not migrated for %s; migrate it first, with a DjangoMigrate or lockedmigrate"
        % model._meta.label,
    )


def _has_table(connection: BaseDatabaseWrapper, model: type[Model]) -> bool:
    try:
        if run_context() and unapplied_in_current_schema(connection, model._meta.app_label):
            return False
        model._base_manager.using(connection.alias).exists()
    except (OperationalError, ProgrammingError) as error:
        if lacks_right(error):
            said = scrubbed(error).strip()
            raise TaskError(
                "InsufficientPrivilege", f"the user of database {connection.alias!r} lacks a right: {said}"
            ) from error
        if model._meta.db_table in connection.introspection.table_names():
            raise  # something else is wrong
        return False
    return True


def _connection_obstacle(connection: BaseDatabaseWrapper) -> str | None:
    """Why there is no connection yet; None if there is one."""
    reused = is_reused(connection)
    try:
        connection.ensure_connection()
        if reused and is_between_transactions(connection) and not connection.is_usable():
            reopen(connection)
            connection.ensure_connection()
        return None
    except Error as error:
        connection.close()
        if not run_context() or not is_transient(error):
            raise
        return ": " + scrubbed(error).strip()


def _wait_until(obstacle: Callable[[], str | None], seconds: float, what: str, reason: str, message: str) -> None:
    seconds = seconds if run_context() else 0
    deadline = time.monotonic() + seconds
    told = False
    while (words := obstacle()) is not None:
        if time.monotonic() >= deadline:
            raise TaskError(reason, message + (" (waited %d s)" % seconds if seconds else "") + words)
        if not told:
            say("waiting for %s" % what)
            told = True
        time.sleep(PAUSE)
