"""Advisory locks of PostgreSQL."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from ..db.waiting import wait_for_database
from ..errors import TaskError
from .base import ORPHAN_PREFIX, Lock, first_row, own_session

# How often it is tried whether a pooler shares sessions: of ten poolers behind one address, each try meets the
# same one as before in one of ten cases.
POOLER_ROUNDS = 30
POOLER_CHECK_KEYS = (0x646A6F, 1)  # a lock for the time of that try; nobody else's
STATEMENT_LOCK_KEY = 0x646A70  # the first key of the statement lock
# PostgreSQL 14 looks, if it is told to, whether anybody still waits for a statement (milliseconds).
CLIENT_CHECK_SINCE, CLIENT_CHECK = 140_000, 1000
# A session that holds the lock is silent for as long as the migrations run. Nothing on the way may take it for
# dead, and the server has to notice when it is: a machine that lost its power says no word.
KEEPALIVES = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6}
SERVER_KEEPALIVES = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 6}
# PostgreSQL 14 has the setting.
IDLE_SESSION_TIMEOUT_SINCE = 140_000


class AdvisoryLock(Lock):
    """A session's advisory lock, by the numbers that the server takes for it."""

    keys: tuple[int, ...]
    pg_locks_filter: str  # which row of pg_locks it is

    def call(self, function: str) -> bool:
        """One of the server's functions for such locks."""
        return bool(self.first_row(f"SELECT {function}({', '.join(['%s'] * len(self.keys))})", *self.keys)[0])

    def configure(self, name: str, value: int) -> None:
        """A setting of the server's, for this session."""
        self.first_row("SELECT set_config(%s, %s, false)", name, str(value))

    def holder_row(self, columns: str) -> Any:
        """What the server says of the session that has the lock; None if none has."""
        return self.first_row(
            f"SELECT {columns} FROM pg_locks l JOIN pg_stat_activity a USING (pid)"  # noqa: S608 - of this file
            f" WHERE l.locktype = 'advisory' AND l.granted AND {self.pg_locks_filter}"
            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            *self.keys,
        )

    def holder(self) -> str:
        return AdvisoryLock.current_holder(self) or "nobody any more"

    def current_holder(self) -> str | None:
        row = self.holder_row("a.pid, coalesce(host(a.client_addr), 'local'), a.application_name, a.backend_start")
        if row is None:
            return None
        process, client, application, since = row
        if since is None:
            return f"server process {process} (of another role; one with pg_read_all_stats sees more)"
        return f"server process {process} (client {client}, application {application!r}, connected {since})"


class PostgresLock(AdvisoryLock):
    """On a session of its own.

    Behind a pooler, a session is one that others lack: there it is given back while we wait for the lock.
    """

    pg_locks_filter = "l.objsubid = 1 AND ((l.classid::bigint << 32) | l.objid::bigint) = %s"
    pooled = False
    pooler_checked = False

    def __init__(self, connection: BaseDatabaseWrapper, lock_id: int) -> None:
        super().__init__(connection, lock_id)
        self.keys = (lock_id,)

    def open(self) -> None:
        self.connection = self.new_session()
        self.pooled = is_pooled(self.connection)
        if self.pooled:
            self.connection.close()

    def new_session(self) -> BaseDatabaseWrapper:
        """Another session."""
        return own_session(self.original, KEEPALIVES)

    def try_acquire(self) -> bool:
        if self.pooled and not self.pooler_checked and not self.check_pooler():
            return False
        acquired = self.call("pg_try_advisory_lock")
        if acquired:
            self.configure_session()
        elif self.pooled:
            self.connection.close()
        return acquired

    def configure_session(self) -> None:
        """Makes the session one that may be silent, and whose end is noticed."""
        settings = {} if self.pooled else dict(SERVER_KEEPALIVES)
        if getattr(self.connection, "pg_version", 0) >= IDLE_SESSION_TIMEOUT_SINCE:
            settings["idle_session_timeout"] = 0
        for name, value in settings.items():
            self.configure(name, value)

    def check_pooler(self) -> bool:
        """Refuses a pooler that gives the server's session to somebody else between two statements: a lock
        would stay behind there, held by nobody, and nobody else could get it. One at a time, as this takes
        several sessions; false: somebody else is at it."""
        check_session = self.new_session()
        try:
            with check_session.cursor() as cursor:
                try:
                    cursor.execute("BEGIN")  # in every mode but one, this session is ours until its end
                    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", POOLER_CHECK_KEYS)
                    acquired_alone, in_transaction = cursor.fetchone()[0], True
                except Error:
                    acquired_alone, in_transaction = True, False  # it pools by statement
                if not acquired_alone:
                    return False
                try:
                    shared = not in_transaction or self.shares_sessions()
                except Error as error:
                    raise self.unsupported_pooler(f"that gives no further session ({str(error).strip()})") from error
                if shared:
                    raise self.unsupported_pooler("in transaction mode")
        finally:
            check_session.close()
        self.pooler_checked = True
        return True

    def shares_sessions(self) -> bool:
        """Whether the server process behind a connection is another one, or somebody else's, a moment later."""
        reference = self.new_session()
        try:
            process = server_process(reference)
            for _ in range(POOLER_ROUNDS):
                other = self.new_session()
                try:
                    if server_process(other) == process or server_process(reference) != process:
                        return True
                finally:
                    other.close()
            return False
        finally:
            reference.close()

    def unsupported_pooler(self, why: str) -> TaskError:
        return TaskError(
            "LockUnsupported",
            f"database {self.original.alias!r} is reached through a pooler {why} (PgBouncer or its like),"
            " which cannot hold a session's lock. Add a database to DATABASES that goes to the server"
            " directly, and name it by --lock-database or the setting DJK8S_MIGRATE_LOCK_DATABASE; or take no lock,"
            " by --lock-mode none (spec.lock.mode: None), and see to it yourself that only one migrates",
        )

    def release(self) -> bool:
        return self.call("pg_advisory_unlock")

    def holder(self) -> str:
        words = super().holder()
        if self.pooled:
            self.connection.close()
        return words


class PostgresReentrantLock(PostgresLock):
    """On the session that migrates, which may take it again: a server counts how often."""

    session: Any = None

    def open(self) -> None:
        wait_for_database(self.connection)
        self.session = self.connection.connection
        self.pooled = is_pooled(self.connection)

    def try_acquire(self) -> bool:
        if self.pooled and not self.pooler_checked and not self.check_pooler():
            return False
        return self.call("pg_try_advisory_lock")

    def release(self) -> bool:
        return self.connection.connection is self.session and super().release()

    def holder(self) -> str:
        return AdvisoryLock.holder(self)


class PostgresStatementLock(AdvisoryLock):
    """On the session that migrates. A pooler's is not ours to keep a lock in."""

    pg_locks_filter = "l.objsubid = 2 AND l.classid::bigint = %s AND l.objid::bigint = %s"
    pooled = False

    def __init__(self, connection: BaseDatabaseWrapper, lock_id: int) -> None:
        super().__init__(connection, lock_id)
        self.keys = (STATEMENT_LOCK_KEY, lock_id & 0x7FFFFFFF)

    def open(self) -> None:
        self.connection.ensure_connection()
        self.pooled = is_pooled(self.connection)

    def try_acquire(self) -> bool:
        if self.pooled:
            return True
        if not self.call("pg_try_advisory_lock"):
            state = self.holder_row("a.state")  # that of another role is hidden
            return state is not None and state[0] not in ("active", None)
        if getattr(self.connection, "pg_version", 0) >= CLIENT_CHECK_SINCE and self.connection.get_autocommit():
            with suppress(Error):  # not every operating system can
                self.configure("client_connection_check_interval", CLIENT_CHECK)
        return True

    def release(self) -> bool:
        return self.pooled or self.call("pg_advisory_unlock")

    def holder(self) -> str:
        return ORPHAN_PREFIX + super().holder()

    def current_holder(self) -> str | None:
        """Also of a migrator with another number for its lock."""
        self.pg_locks_filter, self.keys = "l.objsubid = 2 AND l.classid::bigint = %s", self.keys[:1]
        return super().current_holder()


def is_pooled(connection: BaseDatabaseWrapper) -> bool:
    """A pooler tells a number of its own when the connection is made."""
    own: Any = connection.connection
    own = getattr(own, "driver_connection", own)  # that of SQLAlchemy's pools stands around the driver's
    return bool(own.info.backend_pid != server_process(connection))


def server_process(connection: BaseDatabaseWrapper) -> int:
    """The server's process that answers now."""
    return int(first_row(connection, "SELECT pg_backend_pid()")[0])
