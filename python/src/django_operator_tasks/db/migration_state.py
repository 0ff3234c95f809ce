"""Which migrations a database has seen, by its own table `django_migrations`."""

from __future__ import annotations

from typing import Any

from django.db import Error
from django.db.migrations.recorder import MigrationRecorder

TABLE = "django_migrations"


def applied_migrations(connection: Any) -> dict[str, bool] | None:
    """The migrations, oldest first; None if they cannot be read, which others report better."""
    try:
        return _read(connection)
    except Error:
        if connection.in_atomic_block or connection.is_usable():
            return None
    try:  # what ran before left it broken
        connection.close()
        return _read(connection)
    except Error:
        return None


def _read(connection: Any) -> dict[str, bool]:
    if hasattr(connection, "set_schema"):  # a schema for each tenant, and in each a table of its own
        found: dict[str, bool] = {}
        for schema in migrated_schemas(connection):
            found.update({f"{schema}: {name}": True for name in _applied_in_schema(connection, schema)})
        return found
    recorded = MigrationRecorder(connection).applied_migrations()
    records = sorted(recorded.items(), key=lambda item: item[1].pk or 0)
    return {f"{app}.{name}": True for (app, name), _ in records}


def migrated_schemas(connection: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = %s"
            " AND has_table_privilege(quote_ident(schemaname) || '.' || quote_ident(tablename), 'SELECT')"
            " ORDER BY schemaname",
            [TABLE],
        )
        return [row[0] for row in cursor.fetchall()]


def _applied_in_schema(connection: Any, schema: str) -> list[str]:
    table = ".".join(map(connection.ops.quote_name, (schema, TABLE)))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT app, name FROM {table} ORDER BY id")  # noqa: S608 - both names are quoted
        return [f"{app}.{name}" for app, name in cursor.fetchall()]
