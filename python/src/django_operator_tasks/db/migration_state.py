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
        schema = _hidden_schema(cursor) if connection.vendor == "postgresql" else None
        if schema is not None:
            return _rows_within_savepoint(connection, cursor, f"{connection.ops.quote_name(schema)}.{table}")
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


def _rows_within_savepoint(connection: Any, cursor: Any, table: str) -> list[Key]:
    """A transaction of the caller's outlives what is refused."""
    savepoint = connection.savepoint() if connection.in_atomic_block else None
    try:
        return _rows(cursor, table)
    except Error:
        if savepoint is not None:
            connection.savepoint_rollback(savepoint)
        raise


def _hidden_schema(cursor: Any) -> str | None:
    """The first schema of the search path, if it has a table of migrations and the user may not use it. Where one that
    they may use comes before, that is where the migrations are to be."""
    cursor.execute("SELECT current_setting('search_path'), current_user, current_schema()")
    path, user, usable = cursor.fetchone()
    cursor.execute(
        "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'v') AND NOT has_schema_privilege(n.oid, 'USAGE')",
        [TABLE],
    )
    hidden = {schema for (schema,) in cursor.fetchall()}
    for name in path.split(","):
        written = name.strip().strip('"')
        schema = user if written == "$user" else written
        if schema == usable:
            return None
        if schema in hidden:
            return str(schema)
    return None


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
            "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = %s AND c.relkind IN ('r', 'p')"
            " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
            " ORDER BY n.nspname",
            [TABLE],
        )
        return [row[0] for row in cursor.fetchall()]
