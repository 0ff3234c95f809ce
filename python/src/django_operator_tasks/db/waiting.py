"""Waits for what somebody else is about to bring: a database that still starts, tables that a migration
makes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model

from ..errors import TaskError
from ..job.run_context import run_context
from .connections import is_between_transactions, is_reused, reopen
from .tenants import group_by_migrations, preserve_schema

DATABASE_SECONDS = 60
TABLE_SECONDS = 300
PAUSE = 1.0
# Texts of a server that is not there yet; whatever else it says will not change by waiting.
TRANSIENT_ERRORS = (
    "refused",
    "starting up",
    "could not translate host name",
    "name resolution",
    "name or service not known",
    "no route to host",
    "timeout",
    "timed out",
    "can't connect",
    "closed the connection",
)


def wait_for_database(connection: BaseDatabaseWrapper) -> None:
    """Waits for a server that is about to come up; only inside of a Job."""
    _wait_until(
        lambda: _can_connect(connection),
        DATABASE_SECONDS,
        "database %r" % connection.alias,
        "DatabaseUnreachable",
        "the database %r at %r does not answer" % (connection.alias, str(connection.settings_dict.get("HOST") or "")),
    )


def wait_for_model(connection: BaseDatabaseWrapper, model: type[Model]) -> None:
    """Asks for a model's table. Inside of a Job, where everything of a release is applied at once, waits for it, and
    for every migration of its application: half a table is none."""
    _wait_until(
        lambda: _has_table(connection, model),
        TABLE_SECONDS,
        "the migrations of %s" % model._meta.app_label,
        "NotMigrated",
        "the database is not migrated for %s; migrate it first, with a DjangoMigrate or lockedmigrate"
        % model._meta.label,
    )


def unapplied_migrations(connection: Any, on_answer: Callable[[], None] = lambda: None) -> list[str]:
    """The migrations that the code knows and the database has not seen; also those of each tenant.

    :param on_answer: called after each answer of the server's, where there are many.
    """
    missing = unapplied_in_current_schema(connection)
    if missing or not hasattr(connection, "include_public_schema"):
        return missing  # tenants come later
    with preserve_schema(connection):
        for group in group_by_migrations(connection, on_answer):
            connection.set_schema(group[0], include_public=False)
            names = unapplied_in_current_schema(connection)
            missing += [f"{schema}: {name}" for schema in group for name in names]
            on_answer()
    return missing


def unapplied_in_current_schema(connection: BaseDatabaseWrapper, app: str | None = None) -> list[str]:
    """The same for where the connection is; of one application, or of all."""
    executor = MigrationExecutor(connection)
    leaves = [node for node in executor.loader.graph.leaf_nodes() if app in (None, node[0])]
    plan: list[Any] = executor.migration_plan(leaves)
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def _has_table(connection: BaseDatabaseWrapper, model: type[Model]) -> bool:
    if run_context() and unapplied_in_current_schema(connection, model._meta.app_label):
        return False
    try:
        model._base_manager.using(connection.alias).exists()
    except (OperationalError, ProgrammingError):
        if model._meta.db_table in connection.introspection.table_names():
            raise  # something else is wrong
        return False
    return True


def _can_connect(connection: BaseDatabaseWrapper) -> bool:
    reused = is_reused(connection)
    try:
        connection.ensure_connection()
        if reused and is_between_transactions(connection) and not connection.is_usable():
            reopen(connection)
            connection.ensure_connection()
        return True
    except OperationalError as error:
        connection.close()
        if not run_context() or not any(text in str(error).lower() for text in TRANSIENT_ERRORS):
            raise
        return False


def _wait_until(there: Callable[[], bool], seconds: float, what: str, reason: str, message: str) -> None:
    seconds = seconds if run_context() else 0
    deadline = time.monotonic() + seconds
    told = False
    while not there():
        if time.monotonic() >= deadline:
            raise TaskError(reason, message + (" (waited %d s)" % seconds if seconds else ""))
        if not told:
            print("waiting for %s" % what, flush=True)
            told = True
        time.sleep(PAUSE)
