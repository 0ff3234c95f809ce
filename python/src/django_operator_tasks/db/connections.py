"""Connections that were opened earlier, which their server may have closed."""

from __future__ import annotations

from typing import Any


def is_reused(connection: Any) -> bool:
    """Whether what it would use now was opened earlier."""
    return connection.connection is not None or getattr(connection, "pool", None) is not None


def is_between_transactions(connection: Any) -> bool:
    """Whether nothing is lost when it is closed."""
    return connection.autocommit and not connection.in_atomic_block


def reopen(connection: Any) -> None:
    """Closes it, so that the next use opens another one; those in its pool are as old."""
    connection.close()
    pool: Any = getattr(connection, "pool", None)
    if hasattr(pool, "check"):
        pool.check()
