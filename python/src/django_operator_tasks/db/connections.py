"""Connections: those that were opened earlier, which their server may have closed; queries that nobody looks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.utils import CursorDebugWrapper


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


@contextmanager
def quiet_cursor(connection: Any) -> Iterator[Any]:
    """A cursor whose queries stand neither in `connection.queries` nor in the logger django.db.backends."""
    with connection.cursor() as cursor:
        yield connection.make_cursor(cursor.cursor) if isinstance(cursor, CursorDebugWrapper) else cursor
