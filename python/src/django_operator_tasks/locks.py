"""A lock in the database that keeps two migrators apart.

It is taken on a connection of its own, by asking again and again: a session that waits inside of
`pg_advisory_lock` holds a snapshot, for which CREATE INDEX CONCURRENTLY would wait in its turn.
"""

import os
import time
from contextlib import contextmanager

from django.db import Error

from .errors import TaskError

PAUSE = 0.5


@contextmanager
def migration_lock(connection, lock_id, timeout, say):
    """Holds the lock while the block runs. `timeout` None: waits without end."""
    lock = _kind(connection)(connection, lock_id)
    lock.open()
    try:
        _acquire(lock, timeout, say)
        try:
            yield
        except BaseException:
            _released(lock)  # what went wrong first is what counts
            raise
        if not _released(lock):
            raise TaskError(
                "LockLost",
                "the migrations ran, but lock %d was gone at their end: the connection that held it was cut, or a"
                " pooler gave it to somebody else. Another migrator may have run at the same time" % lock_id,
            )
    finally:
        lock.close()


def _released(lock):
    try:
        return lock.release()
    except Error:
        return False


def _acquire(lock, timeout, say):
    deadline = None if timeout is None else time.monotonic() + timeout
    told = False
    while not lock.try_acquire():
        if deadline is not None and time.monotonic() >= deadline:
            raise TaskError(
                "LockTimeout",
                "waited %d s for migration lock %d; it is held by %s" % (timeout, lock.id, lock.holder()),
            )
        if not told:
            say("waiting for migration lock %d, held by %s" % (lock.id, lock.holder()))
            told = True
        time.sleep(PAUSE)


def _kind(connection):
    kinds = {"postgresql": PostgresLock, "sqlite": FileLock}
    try:
        return kinds[connection.vendor]
    except KeyError:
        raise TaskError(
            "LockUnsupported",
            "there is no migration lock for databases of the kind %r yet; use --lock-mode none (spec.lock.mode:"
            " None), and see to it yourself that only one migrates" % connection.vendor,
        ) from None


class PostgresLock:
    """A session's advisory lock."""

    def __init__(self, connection, lock_id):
        self.id = lock_id
        self.connection = connection.copy()

    def open(self):
        self.connection.ensure_connection()
        self.connection.set_autocommit(True)

    def close(self):
        self.connection.close()

    def _ask(self, query, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()

    def try_acquire(self):
        return self._ask("SELECT pg_try_advisory_lock(%s)", self.id)[0]

    def release(self):
        return self._ask("SELECT pg_advisory_unlock(%s)", self.id)[0]

    def holder(self):
        row = self._ask(
            "SELECT a.pid, coalesce(host(a.client_addr), 'local'), a.application_name, a.backend_start"
            " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
            " AND ((l.classid::bigint << 32) | l.objid::bigint) = %s"
            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            self.id,
        )
        if row is None:
            return "nobody any more"
        return "server process %s (client %s, application %r, connected %s)" % tuple(row)


class FileLock:
    """A file beside a SQLite database; the kernel gives it back when its holder dies."""

    def __init__(self, connection, lock_id):
        self.id = lock_id
        name = str(connection.settings_dict.get("NAME") or "")
        in_memory = not name or name == ":memory:" or "mode=memory" in name
        self.path = None if in_memory else "%s.migrate-%d.lock" % (name, lock_id)
        self.file = None

    def open(self):
        if self.path:
            self.file = open(self.path, "a+")

    def close(self):
        if self.file:
            self.file.close()

    def try_acquire(self):
        if not self.file:
            return True
        import fcntl

        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        self.file.seek(0)
        self.file.truncate()
        self.file.write("process %d on %s" % (os.getpid(), os.uname().nodename))
        self.file.flush()
        return True

    def release(self):
        if self.file:
            import fcntl

            fcntl.flock(self.file, fcntl.LOCK_UN)
        return True

    def holder(self):
        self.file.seek(0)
        return self.file.read() or "somebody who left no name"
