"""A lock in the database that keeps two migrators apart.

It is taken on a connection of its own, by asking again and again: a session that waits inside of
`pg_advisory_lock` holds a snapshot, for which CREATE INDEX CONCURRENTLY would wait in its turn.
"""

from __future__ import annotations

import hashlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import IO, Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from .db.waiting import wait_for_database
from .errors import TaskError
from .job.durability import sqlite_file

PAUSE = 0.5
# How often it is tried whether a pooler shares sessions: of ten poolers behind one address, each try meets the
# same one as before in one of ten cases.
POOLER_ROUNDS = 30
PROOF = (0x646A6F, 1)  # a lock for the time of that try; nobody else's
WORK = 0x646A70  # the first key of the lock of statement_lock
MYSQL_NAME_LIMIT = 64
# PostgreSQL 14 looks, if it is told to, whether anybody still waits for a statement (milliseconds).
CLIENT_CHECK_SINCE, CLIENT_CHECK = 140_000, 1000
ORPHAN = "a migrator that was killed or lost its lock, whose statement still runs: "
# A session that holds the lock is silent for as long as the migrations run. Nothing on the way may take it for
# dead, and the server has to notice when it is: a machine that lost its power says no word.
KEEPALIVES = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6}
SERVER_KEEPALIVES = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 6}
MYSQL_PING_SECONDS = 30
MYSQL_SILENT_SECONDS = 120
# PostgreSQL 14 has the setting.
IDLE_SESSION_TIMEOUT_SINCE = 140_000


@contextmanager
def migration_lock(
    connection: BaseDatabaseWrapper, lock_id: int, timeout: float | None, say: Callable[[str], object]
) -> Iterator[None]:
    """Holds the lock while the block runs.

    :param timeout: seconds to wait for it; None: without end.
    :raises TaskError: LockTimeout, LockUnsupported, LockLost.
    """
    lock = _kind(connection)(connection, lock_id)
    try:
        lock.open()
        _acquire(lock, timeout, say)
        try:
            yield
        except BaseException:
            _released(lock)  # what went wrong first is what counts
            raise
        if not _released(lock):
            raise TaskError(
                "LockLost",
                f"the migrations ran, but lock {lock_id} was gone at their end: the connection that held it was cut,"
                " its file was removed, or a pooler gave it to somebody else. Another migrator may have run at the"
                " same time",
            )
    finally:
        lock.close()


@contextmanager
def statement_lock(
    connection: BaseDatabaseWrapper, lock_id: int, timeout: float | None, say: Callable[[str], object]
) -> Iterator[None]:
    """Holds a second lock while the block runs: on the session that migrates. A migrator that is killed leaves the
    first one at once, but the server is still at its last statement; who comes next waits for that. A session at no
    statement is not waited for: its client may be gone without a word.

    :raises TaskError: LockTimeout.
    """
    kinds: dict[str, type[Lock]] = {"postgresql": PostgresStatementLock, "mysql": MySQLStatementLock}
    if connection.vendor not in kinds:
        yield
        return
    lock = kinds[connection.vendor](connection, lock_id)
    lock.open()
    _acquire(lock, timeout, say)
    session = connection.connection
    try:
        yield
    finally:
        if connection.connection is session:  # else it went with the one that was closed
            _released(lock)


def _released(lock: Lock) -> bool:
    try:
        return lock.release()
    except Error:
        return False


def _acquire(lock: Lock, timeout: float | None, say: Callable[[str], object]) -> None:
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


def _kind(connection: BaseDatabaseWrapper) -> type[Lock]:
    kinds: dict[str, type[Lock]] = {"postgresql": PostgresLock, "mysql": MySQLLock, "sqlite": FileLock}
    try:
        return kinds[connection.vendor]
    except KeyError:
        raise TaskError(
            "LockUnsupported",
            f"there is no migration lock for databases of the kind {connection.vendor!r}. Take it in another database,"
            " by --lock-database or the setting DJK8S_MIGRATE_LOCK_DATABASE, or take none, by --lock-mode none"
            " (spec.lock.mode: None), and see to it yourself that only one migrates",
        ) from None


class Lock(ABC):
    """A lock that one session holds, and that ends with it."""

    def __init__(self, connection: BaseDatabaseWrapper, lock_id: int) -> None:
        self.id = lock_id
        self.original = connection

    @abstractmethod
    def open(self) -> None:
        """Makes the session."""

    @abstractmethod
    def close(self) -> None:
        """Ends it, and with it the lock."""

    @abstractmethod
    def try_acquire(self) -> bool:
        """Whether the lock is ours now; does not wait."""

    @abstractmethod
    def release(self) -> bool:
        """Gives the lock back; whether it still was ours."""

    @abstractmethod
    def holder(self) -> str:
        """Who holds it, in words."""


class SessionLock(Lock):
    """A lock that a session of a database server holds."""

    options: dict[str, Any] = {}

    def open(self) -> None:
        self.connection = self.session()

    def session(self) -> BaseDatabaseWrapper:
        """Another connection to the same database, outside of any pool of Django's."""
        copy: BaseDatabaseWrapper = self.original.copy()  # type: ignore[no-untyped-call, unused-ignore]
        copy.settings_dict["AUTOCOMMIT"] = True
        options = copy.settings_dict.setdefault("OPTIONS", {})
        options.pop("pool", None)
        for name, value in self.options.items():
            options.setdefault(name, value)
        wait_for_database(copy)
        return copy

    def close(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()

    def ask(self, query: str, *values: str | int) -> Any:
        """The first row."""
        return first_row(self.connection, query, *values)


def first_row(connection: BaseDatabaseWrapper, query: str, *values: str | int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()


class PostgresLock(SessionLock):
    """A session's advisory lock.

    Behind a pooler, a session is one that others lack: there it is given back while we wait for the lock.
    """

    options = KEEPALIVES
    pooled = False
    proven = False
    matches = "l.objsubid = 1 AND ((l.classid::bigint << 32) | l.objid::bigint) = %s"

    @property
    def keys(self) -> tuple[int, ...]:
        """The lock's number, as the server takes it."""
        return (self.id,)

    def ask_for(self, function: str) -> bool:
        return bool(self.ask(f"SELECT {function}({', '.join(['%s'] * len(self.keys))})", *self.keys)[0])

    def open(self) -> None:
        super().open()
        self.pooled = is_pooled(self.connection)
        if self.pooled:
            self.connection.close()

    def try_acquire(self) -> bool:
        if self.pooled and not self.proven and not self.prove():
            return False
        acquired = self.ask_for("pg_try_advisory_lock")
        if acquired:
            self.settle()
        elif self.pooled:
            self.connection.close()
        return acquired

    def settle(self) -> None:
        """Makes the session one that may be silent, and whose end is noticed."""
        settings = {} if self.pooled else dict(SERVER_KEEPALIVES)
        if getattr(self.connection, "pg_version", 0) >= IDLE_SESSION_TIMEOUT_SINCE:
            settings["idle_session_timeout"] = 0
        for name, value in settings.items():
            self.configure(name, value)

    def configure(self, name: str, value: int) -> None:
        """A setting of the server's, for this session."""
        self.ask("SELECT set_config(%s, %s, false)", name, str(value))

    def prove(self) -> bool:
        """Refuses a pooler that gives the server's session to somebody else between two statements: a lock
        would stay behind there, held by nobody, and nobody else could get it. One at a time, as this takes
        several sessions; false: somebody else is at it."""
        guard = self.session()
        try:
            with guard.cursor() as cursor:
                try:
                    cursor.execute("BEGIN")  # in every mode but one, this session is ours until its end
                    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", PROOF)
                    alone, in_transaction = cursor.fetchone()[0], True
                except Error:
                    alone, in_transaction = True, False  # it pools by statement
                if not alone:
                    return False
                try:
                    shared = not in_transaction or self.shares_sessions()
                except Error as error:
                    raise self.refusal(f"that gives no further session ({str(error).strip()})") from error
                if shared:
                    raise self.refusal("in transaction mode")
        finally:
            guard.close()
        self.proven = True
        return True

    def shares_sessions(self) -> bool:
        """Whether the server process behind a connection is another one, or somebody else's, a moment later."""
        mine = self.session()
        try:
            process = server_process(mine)
            for _ in range(POOLER_ROUNDS):
                other = self.session()
                try:
                    if server_process(other) == process or server_process(mine) != process:
                        return True
                finally:
                    other.close()
            return False
        finally:
            mine.close()

    def refusal(self, why: str) -> TaskError:
        return TaskError(
            "LockUnsupported",
            f"database {self.original.alias!r} is reached through a pooler {why} (PgBouncer or its like),"
            " which cannot hold a session's lock. Add a database to DATABASES that goes to the server"
            " directly, and name it by --lock-database or the setting DJK8S_MIGRATE_LOCK_DATABASE; or take no lock,"
            " by --lock-mode none (spec.lock.mode: None), and see to it yourself that only one migrates",
        )

    def release(self) -> bool:
        return self.ask_for("pg_advisory_unlock")

    def of_holder(self, columns: str) -> Any:
        """What the server says of the session that has the lock; None if none has."""
        return self.ask(
            f"SELECT {columns} FROM pg_locks l JOIN pg_stat_activity a USING (pid)"  # noqa: S608 - of this file
            f" WHERE l.locktype = 'advisory' AND l.granted AND {self.matches}"
            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            *self.keys,
        )

    def holder(self) -> str:
        row = self.of_holder("a.pid, coalesce(host(a.client_addr), 'local'), a.application_name, a.backend_start")
        if self.pooled:
            self.connection.close()
        if row is None:
            return "nobody any more"
        process, client, application, since = row
        if since is None:
            return f"server process {process} (of another role; one with pg_read_all_stats sees more)"
        return f"server process {process} (client {client}, application {application!r}, connected {since})"


class PostgresStatementLock(PostgresLock):
    """On the session that migrates. A pooler's is not ours to keep a lock in."""

    matches = "l.objsubid = 2 AND l.classid::bigint = %s AND l.objid::bigint = %s"

    @property
    def keys(self) -> tuple[int, ...]:
        return (WORK, self.id & 0x7FFFFFFF)

    def open(self) -> None:
        self.connection = self.original
        self.connection.ensure_connection()
        self.pooled = is_pooled(self.connection)

    def try_acquire(self) -> bool:
        if self.pooled:
            return True
        if not self.ask_for("pg_try_advisory_lock"):
            state = self.of_holder("a.state")  # that of another role is hidden
            return state is not None and state[0] not in ("active", None)
        if getattr(self.connection, "pg_version", 0) >= CLIENT_CHECK_SINCE and self.connection.get_autocommit():
            with suppress(Error):  # not every operating system can
                self.configure("client_connection_check_interval", CLIENT_CHECK)
        return True

    def release(self) -> bool:
        return self.pooled or super().release()

    def holder(self) -> str:
        return ORPHAN + super().holder()


def is_pooled(connection: BaseDatabaseWrapper) -> bool:
    """A pooler tells a number of its own when the connection is made."""
    own: Any = connection.connection
    return bool(own.info.backend_pid != server_process(connection))


def server_process(connection: BaseDatabaseWrapper) -> int:
    """The server's process that answers now."""
    return int(first_row(connection, "SELECT pg_backend_pid()")[0])


class MySQLLock(SessionLock):
    """A named lock, of MySQL and MariaDB. The name is the server's, so the database's name is part of it."""

    def open(self) -> None:
        super().open()
        self.name = mysql_name(f"migrate-{self.id}", self.connection)
        self.ended = Event()
        self.pinger = Thread(target=self.ping, daemon=True)
        with self.connection.cursor() as cursor:
            cursor.execute("SET SESSION wait_timeout = %s", [MYSQL_SILENT_SECONDS])

    def try_acquire(self) -> bool:
        acquired = self.ask_for("GET_LOCK(%s, 0)")
        if acquired:
            self.connection.inc_thread_sharing()
            self.pinger.start()
        return acquired

    def ask_for(self, function: str) -> bool:
        return bool(self.ask(f"SELECT {function}", self.name)[0] == 1)

    def ping(self) -> None:
        """Says that we are still there: the server ends a session that is silent for longer, and its lock with it."""
        while not self.ended.wait(MYSQL_PING_SECONDS):
            try:
                self.ask("SELECT 1")
            except Error:
                return  # which the release finds out

    def release(self) -> bool:
        self.end_pings()
        return self.ask_for("RELEASE_LOCK(%s)")

    def end_pings(self) -> None:
        self.ended.set()
        if self.pinger.is_alive():
            self.pinger.join()

    def close(self) -> None:
        if hasattr(self, "ended"):
            self.end_pings()
        super().close()

    def holder(self) -> str:
        (number,) = self.ask("SELECT IS_USED_LOCK(%s)", self.name)
        if number is None:
            return "nobody any more"
        # Sessions of other accounts are seen by those with the right PROCESS only.
        row = self.ask("SELECT user, host FROM information_schema.processlist WHERE id = %s", number)
        return f"connection {number}" + (f" (user {row[0]}, client {row[1]})" if row else "")


class MySQLStatementLock(MySQLLock):
    """On the session that migrates."""

    def open(self) -> None:
        self.connection = self.original
        self.name = mysql_name(f"at-work-{self.id}", self.connection)

    def try_acquire(self) -> bool:
        if self.ask_for("GET_LOCK(%s, 0)"):
            return True
        state = self.ask("SELECT command FROM information_schema.processlist WHERE id = IS_USED_LOCK(%s)", self.name)
        return state is not None and state[0] == "Sleep"

    def release(self) -> bool:
        return self.ask_for("RELEASE_LOCK(%s)")

    def holder(self) -> str:
        return ORPHAN + super().holder()


def mysql_name(prefix: str, connection: BaseDatabaseWrapper) -> str:
    """A lock's name within the server's limit. The database may stand in a file of options alone."""
    database = connection.settings_dict["NAME"] or first_row(connection, "SELECT DATABASE()")[0] or ""
    name = f"{prefix}-{database}"
    return name if len(name) <= MYSQL_NAME_LIMIT else f"{prefix}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


class FileLock(Lock):
    """A file beside a SQLite database; the kernel gives it back when its holder dies."""

    file: IO[str] | None = None
    path = ""

    def open(self) -> None:
        database = sqlite_file(self.original)
        if database is not None:
            self.path = f"{os.path.realpath(database)}.migrate-{self.id}.lock"
            try:
                self.file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 - open for as long as it is held
            except OSError as error:
                raise TaskError(
                    "DatabaseUnreachable", f"cannot open the lock file beside the SQLite database: {error}"
                ) from error

    def close(self) -> None:
        if self.file:
            self.file.close()

    def try_acquire(self) -> bool:
        if not self.file:
            return True  # a database in memory has nobody else
        import fcntl

        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise TaskError(
                "LockUnsupported",
                f"the file system of {self.path} has no locks ({error}); use --lock-mode none (spec.lock.mode: None),"
                " and see to it yourself that only one migrates",
            ) from error
        self.file.seek(0)
        self.file.truncate()
        self.file.write(f"process {os.getpid()} on {os.uname().nodename}")
        self.file.flush()
        return True

    def release(self) -> bool:
        if not self.file:
            return True
        import fcntl

        try:
            ours = os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
            fcntl.flock(self.file, fcntl.LOCK_UN)
        except OSError:
            ours = False  # somebody removed it, and others may lock a new one
        return ours

    def holder(self) -> str:
        if not self.file:
            return "nobody"
        self.file.seek(0)
        return self.file.read() or "somebody who left no name"
