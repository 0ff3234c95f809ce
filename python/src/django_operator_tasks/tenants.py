"""The schemas of django-tenants, each of which has every table of a tenant, also that of the migrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def of_each_tenant(connection: Any, look: Callable[[str], None]) -> None:
    """Calls `look` with each tenant's name, while the connection is at his schema and no other."""
    if not hasattr(connection, "set_schema"):
        return
    try:
        from django_tenants.utils import get_public_schema_name, get_tenant_database_alias, get_tenant_model
    except ImportError:
        return  # others have schemas as well
    if connection.alias != get_tenant_database_alias():
        return
    tenant, with_public = connection.tenant, connection.include_public_schema
    try:
        connection.set_schema_to_public()
        tenants = get_tenant_model().objects.using(connection.alias).exclude(schema_name=get_public_schema_name())
        for schema in list(tenants.order_by("schema_name").values_list("schema_name", flat=True)):
            connection.set_schema(schema, include_public=False)
            look(schema)
    finally:
        connection.set_tenant(tenant, with_public)
