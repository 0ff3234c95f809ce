"""Waits for what another resource is about to bring: a database that still starts, tables that a migration
makes. Only inside of a Job, where everything of a release is applied at once."""

import time

from django.db import OperationalError
from django.db.migrations.executor import MigrationExecutor

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


def for_model(connection, model):
    """Waits for a model's table, and for every migration of its application: half a table is none."""
    _wait(
        lambda: _migrated(connection, model),
        TABLE_SECONDS,
        "the migrations of %s" % model._meta.app_label,
        "NotMigrated",
        "the database was not migrated for %s within %d s; migrate it first, with a DjangoMigrate"
        % (model._meta.label, TABLE_SECONDS),
    )


def _migrated(connection, model):
    if model._meta.db_table not in connection.introspection.table_names():
        return False
    executor = MigrationExecutor(connection)
    leaves = [node for node in executor.loader.graph.leaf_nodes() if node[0] == model._meta.app_label]
    return not executor.migration_plan(leaves)


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
