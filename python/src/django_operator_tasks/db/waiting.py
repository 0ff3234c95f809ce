"""Waits for a database that still starts."""

from __future__ import annotations

import time

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from ..errors import TaskError
from ..job.report import say, without_secrets
from ..job.run_context import run_context
from .connections import is_between_transactions, is_reused, reopen
from .failures import is_transient

DATABASE_SECONDS = 60
PAUSE = 1.0


def wait_for_database(connection: BaseDatabaseWrapper) -> None:
    """Waits for a server that is about to come up; only inside of a Job."""
    deadline = time.monotonic() + (DATABASE_SECONDS if run_context() else 0)
    told = False
    while (words := _connection_obstacle(connection)) is not None:
        if time.monotonic() >= deadline:
            host = str(connection.settings_dict.get("HOST") or "")
            message = f"the database {connection.alias!r} at {host!r} does not answer"
            waited = f" (waited {DATABASE_SECONDS} s)" if run_context() else ""
            raise TaskError("DatabaseUnreachable", message + waited + words)
        if not told:
            say(f"waiting for database {connection.alias!r}")
            told = True
        time.sleep(PAUSE)


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
        return ": " + without_secrets(error).strip()
