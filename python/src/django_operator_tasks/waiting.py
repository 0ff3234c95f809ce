"""Waits for what another resource is about to bring: a database that still starts, tables that a migration
makes. Only inside of a Job, where everything of a release is applied at once."""

import time

from django.db import OperationalError

from .errors import TaskError
from .report import run_facts

DATABASE_SECONDS = 60
TABLE_SECONDS = 300
PAUSE = 1.0
# Texts of a server that is not there yet; whatever else it says will not change by waiting.
NOT_THERE_YET = (
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


def for_database(connection):
    """Waits for a server that is about to come up."""
    _wait(
        lambda: _connects(connection),
        DATABASE_SECONDS,
        "database %r" % connection.alias,
        "DatabaseUnreachable",
        "the database %r at %r did not answer within %d s"
        % (connection.alias, str(connection.settings_dict.get("HOST") or ""), DATABASE_SECONDS),
    )


def for_table(connection, table):
    """Waits for a table that a migration is about to make."""
    _wait(
        lambda: table in connection.introspection.table_names(),
        TABLE_SECONDS,
        "table %s" % table,
        "NotMigrated",
        "the table %s did not exist after %d s; migrate the database first, with a DjangoMigrate" % (table, TABLE_SECONDS),
    )


def _connects(connection):
    try:
        connection.ensure_connection()
        return True
    except OperationalError as error:
        connection.close()
        if not run_facts() or not any(text in str(error).lower() for text in NOT_THERE_YET):
            raise
        return False


def _wait(there, seconds, what, reason, message):
    deadline = time.monotonic() + (seconds if run_facts() else 0)
    told = False
    while not there():
        if time.monotonic() >= deadline:
            raise TaskError(reason, message)
        if not told:
            print("waiting for %s" % what, flush=True)
            told = True
        time.sleep(PAUSE)
