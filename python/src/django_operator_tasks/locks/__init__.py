"""Locks in the database that keep two migrators apart.

The migration lock is taken on a connection of its own, by asking again and again: a session that waits inside of
`pg_advisory_lock` holds a snapshot, for which CREATE INDEX CONCURRENTLY would wait in its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string

from ..errors import TaskError
from .base import Lock, acquire, release

# By the database's vendor; loaded for the one that is there.
LOCKS = {"postgresql": "postgresql.PostgresLock", "mysql": "mysql.MySQLLock", "sqlite": "sqlite.FileLock"}
REENTRANT_LOCKS = {"postgresql": "postgresql.PostgresReentrantLock"}
STATEMENT_LOCKS = {"postgresql": "postgresql.PostgresStatementLock", "mysql": "mysql.MySQLStatementLock"}


def new_lock(kinds: Mapping[str, str], connection: BaseDatabaseWrapper, lock_id: int) -> Lock:
    """The lock of these kinds for the connection's vendor, not yet open."""
    kind: type[Lock] = import_string(f"{__name__}.{kinds[connection.vendor]}")
    return kind(connection, lock_id)


@contextmanager
def migration_lock(
    connection: BaseDatabaseWrapper,
    lock_id: int,
    timeout: float | None,
    say: Callable[[str], object],
    *,
    in_its_session: bool = False,
) -> Iterator[None]:
    """Holds the lock while the block runs.

    :param timeout: seconds to wait for it; None: without end.
    :param in_its_session: on the connection itself, whose user is about to take the same lock once more. Another
        session of ours would be the one that they wait for.
    :raises TaskError: LockTimeout, LockUnsupported, LockLost.
    """
    if connection.vendor not in LOCKS:
        raise TaskError(
            "LockUnsupported",
            f"there is no migration lock for databases of the kind {connection.vendor!r}. Take it in another database,"
            " by --lock-database or the setting DJK8S_MIGRATE_LOCK_DATABASE, or take none, by --lock-mode none"
            " (spec.lock.mode: None), and see to it yourself that only one migrates",
        )
    kinds = {**LOCKS, **REENTRANT_LOCKS} if in_its_session else LOCKS
    lock = new_lock(kinds, connection, lock_id)
    try:
        lock.open()
        acquire(lock, timeout, say)
        try:
            yield
        except BaseException:
            release(lock)  # what went wrong first is what counts
            raise
        if not release(lock):
            raise TaskError(
                "LockLost",
                f"the migrations ran, but lock {lock_id} was gone at their end: the connection that held it was cut,"
                " its file was removed, or a pooler gave it to somebody else. Another migrator may have run at the"
                " same time",
            )
    finally:
        lock.close()


def lock_holder(connection: BaseDatabaseWrapper, lock_id: int) -> str | None:
    """Who holds the migration lock, without taking it; None if nobody does, or the engine has no such lock."""
    there = (kinds for kinds in (LOCKS, STATEMENT_LOCKS) if connection.vendor in kinds)
    found = (new_lock(kinds, connection, lock_id).current_holder() for kinds in there)
    return next((holder for holder in found if holder is not None), None)


@contextmanager
def statement_lock(
    connection: BaseDatabaseWrapper, lock_id: int, timeout: float | None, say: Callable[[str], object]
) -> Iterator[None]:
    """Holds a second lock while the block runs: on the session that migrates. A migrator that is killed leaves the
    first one at once, but the server is still at its last statement; the next migrator waits for that. A session at no
    statement is not waited for: its client may be gone without a word.

    :raises TaskError: LockTimeout.
    """
    if connection.vendor not in STATEMENT_LOCKS:
        yield
        return
    lock = new_lock(STATEMENT_LOCKS, connection, lock_id)
    lock.open()
    acquire(lock, timeout, say)
    session = connection.connection
    try:
        yield
    finally:
        if connection.connection is session:  # else it went with the one that was closed
            release(lock)
