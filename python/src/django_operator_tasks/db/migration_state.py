"""Which migrations a database has seen, by its own table `django_migrations`."""

from __future__ import annotations

from typing import Any

from django.db import Error

from .failures import number_of

TABLE = "django_migrations"
NO_SUCH_TABLE = 1146  # at MySQL
Key = tuple[str, str]  # the label of an application, and the name of a migration


def applied_keys(connection: Any) -> list[Key]:
    """Where the connection is, the migrations, oldest first; none where there is no table of them."""
    table = connection.ops.quote_name(TABLE)
    with connection.cursor() as cursor:
        if TABLE in connection.introspection.table_names(cursor):
            return _rows(cursor, table)
        # A server hides what its user has no right to, and only when asked for it by name says which one that is.
        if connection.vendor == "mysql":
            return _rows_if_there(cursor, table)
        if connection.vendor == "postgresql":
            for schema in _hidden_schemas(cursor):
                return _rows(cursor, f"{connection.ops.quote_name(schema)}.{table}")
    return []


def _rows_if_there(cursor: Any, table: str) -> list[Key]:
    try:
        return _rows(cursor, table)
    except Error as error:
        if number_of(error) == NO_SUCH_TABLE:
            return []
        raise


def _rows(cursor: Any, table: str) -> list[Key]:
    cursor.execute(f"SELECT app, name FROM {table} ORDER BY id")  # noqa: S608 - what callers give is quoted
    return [(app, name) for app, name in cursor.fetchall()]


def _hidden_schemas(cursor: Any) -> list[str]:
    """Those on the search path that have a table of migrations, and that the user may not use."""
    cursor.execute(
        "SELECT n.nspname, current_user, current_setting('search_path')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND NOT has_schema_privilege(n.oid, 'USAGE')",
        [TABLE],
    )
    found = []
    for schema, user, path in cursor.fetchall():
        names = [name.strip().strip('"') for name in path.split(",")]
        if schema in names or (schema == user and "$user" in names):
            found.append(schema)
    return found


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


def schema_of(connection: Any) -> str:
    """By which its migrations are told apart from those of others; "" where there are no tenants."""
    return str(connection.schema_name) if hasattr(connection, "set_schema") else ""


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
