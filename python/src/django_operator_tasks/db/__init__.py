"""Databases: their connections, migrations and tenants, and waiting for them."""
