"""The schemas of django-tenants, each of which has every table of a tenant, also that of the migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .migration_state import TABLE, migrated_schemas

BATCH_SIZE = 100


@contextmanager
def preserve_schema(connection: Any) -> Iterator[None]:
    """Leaves the connection at the schema where it was."""
    tenant, with_public = connection.tenant, connection.include_public_schema
    try:
        yield
    finally:
        connection.set_tenant(tenant, with_public)


def group_by_migrations(connection: Any) -> list[list[str]]:
    """The tenants, those together that have seen the same migrations."""
    try:
        from django_tenants.utils import get_public_schema_name, get_tenant_database_alias, get_tenant_model
    except ImportError:
        return []  # others have schemas as well
    if connection.alias != get_tenant_database_alias():
        return []
    connection.set_schema_to_public()
    tenants = get_tenant_model().objects.using(connection.alias).exclude(schema_name=get_public_schema_name())
    names = list(tenants.order_by("schema_name").values_list("schema_name", flat=True))
    there = set(migrated_schemas(connection))
    groups: dict[int | None, list[str]] = {}
    have = [name for name in names if name in there]
    for start in range(0, len(have), BATCH_SIZE):
        for name, digest in migration_digests(connection, have[start : start + BATCH_SIZE]):
            groups.setdefault(digest, []).append(name)
    missing = [name for name in names if name not in there]
    return [*groups.values(), *([missing] if missing else [])]


def migration_digests(connection: Any, names: list[str]) -> Any:
    """Of what each schema's table of migrations holds."""
    quote = connection.ops.quote_name
    one = "SELECT %s, hashtextextended(string_agg(app || '.' || name, ',' ORDER BY app, name), 0) FROM "
    query = " UNION ALL ".join(one + f"{quote(name)}.{quote(TABLE)}".replace("%", "%%") for name in names)
    with connection.cursor() as cursor:
        cursor.execute(query, names)
        return cursor.fetchall()
