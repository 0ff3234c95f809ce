"""Which migrations a database has seen, by its own table `django_migrations`."""

from __future__ import annotations

from typing import Any

from django.db import Error

TABLE = "django_migrations"
Key = tuple[str, str]  # the label of an application, and the name of a migration


def applied_keys(connection: Any) -> list[Key]:
    """Where the connection is, the migrations, oldest first; none where there is no table of them."""
    with connection.cursor() as cursor:
        if TABLE not in connection.introspection.table_names(cursor):
            return []
        return _rows(cursor, connection.ops.quote_name(TABLE))


def _rows(cursor: Any, table: str) -> list[Key]:
    cursor.execute(f"SELECT app, name FROM {table} ORDER BY id")  # noqa: S608 - what callers give is quoted
    return [(app, name) for app, name in cursor.fetchall()]


def applied_migrations(connection: Any) -> dict[str, list[Key]] | None:
    """The migrations, oldest first, by schema where there are tenants, else all by ""; None if they cannot be read,
    which others report better."""
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


def _read(connection: Any) -> dict[str, list[Key]]:
    if not hasattr(connection, "set_schema"):
        return {"": applied_keys(connection)}
    found = {}  # a schema for each tenant, and in each a table of its own
    with connection.cursor() as cursor:
        for schema in migrated_schemas(connection):
            found[schema] = _rows(cursor, ".".join(map(connection.ops.quote_name, (schema, TABLE))))
    return found


def migrated_schemas(connection: Any) -> list[str]:
    """The schemas that have such a table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = %s"
            " AND has_table_privilege(quote_ident(schemaname) || '.' || quote_ident(tablename), 'SELECT')"
            " ORDER BY schemaname",
            [TABLE],
        )
        return [row[0] for row in cursor.fetchall()]
