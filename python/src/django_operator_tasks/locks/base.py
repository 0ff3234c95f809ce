"""What the locks of all engines have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from ..db.waiting import wait_for_database
from ..errors import TaskError

PAUSE = 0.5
# Packages whose engines keep a pool, and the options that Django's pool and theirs have.
POOL_PACKAGES = ("dj_db_conn_pool", "django_db_geventpool", "django_postgrespool2", "django_psycopg2_pool")
POOL_OPTIONS = ("pool", "MAX_CONNS", "REUSE_CONNS", "POOL_OPTIONS")
ORPHAN_PREFIX = "a migrator that was killed or lost its lock, whose statement still runs: "


class Lock(ABC):
    """A lock that one session holds, and that ends with it."""

    def __init__(self, connection: BaseDatabaseWrapper, lock_id: int) -> None:
        self.id = lock_id
        self.original = self.connection = connection

    @abstractmethod
    def open(self) -> None:
        """Prepares the session."""

    def close(self) -> None:
        """Ends a session of the lock's own, and with it the lock."""
        if self.connection is not self.original:
            self.connection.close()

    @abstractmethod
    def try_acquire(self) -> bool:
        """Whether the lock is ours now; does not wait."""

    @abstractmethod
    def release(self) -> bool:
        """Gives the lock back; whether it still was ours."""

    @abstractmethod
    def holder(self) -> str:
        """Who holds it, in words."""

    def current_holder(self) -> str | None:
        """Who holds it, asked on the connection as it is, without taking it; None if nobody does or nobody can tell."""
        return None

    def first_row(self, query: str, *values: str | int) -> Any:
        """The first row of a query in the lock's session."""
        return first_row(self.connection, query, *values)


def first_row(connection: BaseDatabaseWrapper, query: str, *values: str | int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()


def own_session(connection: BaseDatabaseWrapper, options: dict[str, Any]) -> BaseDatabaseWrapper:
    """Another connection to the same database, outside of any pool."""
    session: BaseDatabaseWrapper = connection.copy()  # type: ignore[no-untyped-call, unused-ignore]
    kind = unpooled_class(type(session))
    if kind is not type(session):
        session = kind(session.settings_dict, session.alias)
    session.settings_dict["AUTOCOMMIT"] = True
    own = session.settings_dict.setdefault("OPTIONS", {})
    for name in POOL_OPTIONS:
        own.pop(name, None)
    for name, value in options.items():
        own.setdefault(name, value)
    wait_for_database(session)
    return session


def unpooled_class(kind: type) -> Any:
    """The class of a connection below those of packages that keep a pool: a session of the lock's own would wait there
    for the one that migrates to be given back."""
    kinds = kind.__mro__
    pooling = [n for n, each in enumerate(kinds) if each.__module__.split(".")[0] in POOL_PACKAGES]
    return kinds[max(pooling) + 1] if pooling else kind


def acquire(lock: Lock, timeout: float | None, say: Callable[[str], object]) -> None:
    """Asks again and again.

    :raises TaskError: LockTimeout.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    told = False
    while not lock.try_acquire():
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TaskError(
                "LockTimeout", f"waited {timeout:g} s for migration lock {lock.id}; it is held by {lock.holder()}"
            )
        if not told:
            say(f"waiting for migration lock {lock.id}, held by {lock.holder()}")
            told = True
        time.sleep(PAUSE if left is None else min(PAUSE, left))


def release(lock: Lock) -> bool:
    """Gives the lock back; whether it still was ours, also where the session is gone."""
    try:
        return lock.release()
    except Error:
        return False
